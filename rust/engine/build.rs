//! Builds the graph: usearch's header, and what the engine needs of it.

fn main() {
    let graph = "src/graph/usearch.cpp";
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file(graph)
        .include("vendor")
        // Tests, too, run it as it ships.
        .opt_level(3)
        .define("NDEBUG", None)
        .flag_if_supported("-fvisibility=hidden")
        .compile("ingot_graph");
    println!("cargo::rerun-if-changed={graph}");
    println!("cargo::rerun-if-changed=vendor/usearch/index.hpp");
}
