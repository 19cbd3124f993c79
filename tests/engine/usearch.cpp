// The border between the engine and usearch, run by itself so that sanitizers see all of it: two threads grow a graph
// beside each other and search it, it is saved, loaded, and loaded from bytes that end early.

#include "../../rust/engine/src/graph/usearch.cpp"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t columns = 8;
constexpr std::uint32_t rows = 3000;

float between(void const* codes, std::uint32_t a, std::uint32_t b);

float from_query(void const* codes, void const* query, std::uint32_t slot) {
    float const* row = static_cast<float const*>(codes) + columns * slot;
    float sum = 0;
    for (std::size_t column = 0; column != columns; ++column) {
        float const difference = row[column] - static_cast<float const*>(query)[column];
        sum += difference * difference;
    }
    return sum;
}

float between(void const* codes, std::uint32_t a, std::uint32_t b) {
    return from_query(codes, static_cast<float const*>(codes) + columns * a, b);
}

bool even(void const* context, std::uint32_t slot) { return slot % *static_cast<std::uint32_t const*>(context) == 0; }

void demand(bool holds, char const* what) {
    if (!holds) {
        std::fprintf(stderr, "%s\n", what);
        std::abort();
    }
}

struct Filled {
    std::vector<float> codes;
    ingot_graph* graph = ingot_graph_new(16, {from_query, between});

    void add(std::uint32_t from, std::uint32_t to, std::size_t place) {
        for (std::uint32_t slot = from; slot != to; ++slot) {
            char const* refused = ingot_graph_add(graph, slot, 64, place, codes.data(), codes.data() + columns * slot);
            demand(!refused, refused);
        }
    }

    /// Both at the same time.
    void add_by_two(std::uint32_t from, std::uint32_t to) {
        std::uint32_t const middle = (from + to) / 2;
        std::thread other([&] { add(from, middle, 0); });
        add(middle, to, 1);
        other.join();
    }

    void search(std::size_t place, bool filtered) const {
        std::size_t found = 0;
        for (std::uint32_t slot = 0; slot < 400; slot += 2) {
            std::uint32_t const two = 2;
            float distances[10];
            std::uint32_t slots[10];
            std::size_t const count =
                ingot_graph_search(graph, 10, 64, place, codes.data(), codes.data() + columns * slot,
                                   filtered ? even : nullptr, &two, distances, slots);
            demand(count == 10, "fewer than ten");
            for (std::size_t nearest = 0; nearest != count; ++nearest)
                demand(!filtered || slots[nearest] % 2 == 0, "a slot that does not pass");
            found += slots[0] == slot;
        }
        demand(found > 190, "rows are not found");
    }

    void search_by_two() const {
        std::thread other([&] { search(0, false); });
        search(1, true);
        other.join();
    }
};

} // namespace

int main() {
    Filled one;
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    for (std::size_t number = 0; number != columns * rows; ++number)
        one.codes.push_back(normal(generator));

    demand(ingot_graph_reserve(one.graph, rows / 2, 2), "no room");
    one.add(0, 1, 0);
    one.add_by_two(1, rows / 2);
    demand(ingot_graph_add(one.graph, rows / 2, 64, 0, one.codes.data(), one.codes.data()) != nullptr, "more than fit");
    demand(ingot_graph_reserve(one.graph, rows, 2), "no more room");
    one.add_by_two(rows / 2, rows);
    demand(ingot_graph_size(one.graph) == rows && ingot_graph_capacity(one.graph) == rows, "all are there");
    demand(ingot_graph_bytes(one.graph) / rows < 200, "bytes of a node");
    one.search_by_two();

    std::vector<std::uint8_t> saved(ingot_graph_saved_bytes(one.graph));
    ingot_graph_save(one.graph, saved.data());
    Filled two;
    two.codes = one.codes;
    demand(!ingot_graph_load(two.graph, saved.data(), saved.size()), "not loaded");
    demand(ingot_graph_reserve(two.graph, rows + 10, 2), "no room for what is loaded");
    two.search_by_two();
    for (std::size_t length : {std::size_t{0}, std::size_t{39}, std::size_t{1000}, saved.size() - 1}) {
        // A copy, so that a byte read behind its end is seen.
        std::vector<std::uint8_t> const part(saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(length));
        ingot_graph* graph = ingot_graph_new(16, {from_query, between});
        demand(ingot_graph_load(graph, part.data(), part.size()) != nullptr, "loaded in part");
        ingot_graph_free(graph);
    }
    ingot_graph_free(one.graph);
    ingot_graph_free(two.graph);
}
