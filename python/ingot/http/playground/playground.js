// Shows openapi.json and sends its requests to the server that it came from, and to no other.

"use strict";

/** A JSON text as a Python literal; numbers stay as they were written. */
function pythonLiteral(text) {
  const words = { true: "True", false: "False", null: "None" };
  return text.replace(/"(?:[^"\\]|\\.)*"|true|false|null/g, (word) => words[word] ?? JSON.stringify(JSON.parse(word)));
}

/** What a request sends: nothing, a file, JSON, or other text. */
function bodyOf(request) {
  const body = request.get("body");
  if (body === undefined || body === null || body === "") {
    return { kind: "none" };
  }
  if (body instanceof Blob) {
    return { kind: "file", name: body.name ?? "vectors.npy" };
  }
  const text = typeof body === "string" ? body : JSON.stringify(body, null, 2);
  try {
    JSON.parse(text);
    return { kind: "json", text };
  } catch {
    return { kind: "text", text };
  }
}

function headersOf(request) {
  const headers = request.get("headers");
  return headers ? headers.toJS() : {};
}

/** `lines` behind `spaces` spaces, but for the first. */
function indented(text, spaces) {
  return text.split("\n").join("\n" + " ".repeat(spaces));
}

/** The arguments of a request in Python, each on a line of its own. */
function pythonArguments(request, spaces) {
  const lines = [JSON.stringify(request.get("method")), JSON.stringify(request.get("url"))];
  const headers = headersOf(request);
  const body = bodyOf(request);
  if (Object.keys(headers).length > 0) {
    lines.push("headers=" + JSON.stringify(headers, null, 4));
  }
  if (body.kind === "json") {
    lines.push("json=" + pythonLiteral(body.text));
  } else if (body.kind === "text") {
    lines.push("content=" + JSON.stringify(body.text));
  } else if (body.kind === "file") {
    lines.push("content=Path(" + JSON.stringify(body.name) + ").read_bytes()");
  }
  const pad = " ".repeat(spaces);
  return lines.map((line) => pad + indented(line, spaces) + ",\n").join("");
}

function pythonImports(request, first) {
  const imports = [...first];
  if (bodyOf(request).kind === "file") {
    imports.push("from pathlib import Path");
  }
  return [...imports, ...(imports.length > 0 ? [""] : []), "import httpx", ""].join("\n");
}

function pythonSync(request) {
  return (
    pythonImports(request, []) +
    "\nanswer = httpx.request(\n" +
    pythonArguments(request, 4) +
    ")\nprint(answer.status_code, answer.text)\n"
  );
}

function pythonAsync(request) {
  return (
    pythonImports(request, ["import asyncio"]) +
    "\n\nasync def main():\n" +
    "    async with httpx.AsyncClient() as client:\n" +
    "        answer = await client.request(\n" +
    pythonArguments(request, 12) +
    "        )\n" +
    "    print(answer.status_code, answer.text)\n" +
    "\n\nasyncio.run(main())\n"
  );
}

function javascript(request) {
  const lines = ["method: " + JSON.stringify(request.get("method"))];
  const headers = headersOf(request);
  const body = bodyOf(request);
  if (Object.keys(headers).length > 0) {
    lines.push("headers: " + JSON.stringify(headers, null, 2));
  }
  if (body.kind === "json") {
    lines.push("body: JSON.stringify(" + body.text + ")");
  } else if (body.kind === "text") {
    lines.push("body: " + JSON.stringify(body.text));
  } else if (body.kind === "file") {
    lines.push("body: file, // a File or Blob with the bytes of " + body.name);
  }
  return (
    "const answer = await fetch(" +
    JSON.stringify(request.get("url")) +
    ", {\n" +
    lines.map((line) => "  " + indented(line, 2) + ",\n").join("") +
    "});\nconsole.log(answer.status, await answer.text());\n"
  );
}

window.playground = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#playground",
  // Another host would learn of the document.
  validatorUrl: null,
  // Nothing in the address of the page may change what it shows.
  queryConfigEnabled: false,
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // What is on the page stays on the page: no key is kept.
  persistAuthorization: false,
  requestSnippetsEnabled: true,
  requestSnippets: {
    generators: {
      curl_bash: { title: "curl", syntax: "bash" },
      python: { title: "Python", syntax: "python" },
      python_async: { title: "Python, async", syntax: "python" },
      javascript: { title: "JavaScript", syntax: "javascript" },
    },
    languages: ["curl_bash", "python", "python_async", "javascript"],
  },
  plugins: [
    {
      fn: {
        requestSnippetGenerator_python: pythonSync,
        requestSnippetGenerator_python_async: pythonAsync,
        requestSnippetGenerator_javascript: javascript,
      },
    },
  ],
});
