// usearch's graph over the engine's slots, for `native_unsafe.rs`, which says what each function promises and wants.
// Distances and predicates are the engine's; nothing of a vector is kept here.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

#include "usearch/index.hpp"

namespace {

namespace us = unum::usearch;

/// Working space of threads. Where there is none it says so by null, as usearch expects; the standard one would throw.
template <typename Element> struct Heap {
    using value_type = Element;
    Heap() noexcept = default;
    template <typename Other> Heap(Heap<Other> const&) noexcept {}
    Element* allocate(std::size_t count) noexcept {
        constexpr std::size_t line = 64;
        if (count > (SIZE_MAX - line) / sizeof(Element))
            return nullptr;
        std::size_t const bytes = (count * sizeof(Element) + line - 1) / line * line;
        return static_cast<Element*>(std::aligned_alloc(line, bytes));
    }
    void deallocate(Element* elements, std::size_t) noexcept { std::free(elements); }
};

/// Nodes, one behind the other in large pages, freed together. usearch's own tape begins every node on a cache line,
/// which is a third more memory. It is called by one thread at a time: an add holds the index's lock meanwhile.
class Nodes {
    static constexpr std::size_t block_bytes = std::size_t{2} << 20;
    static constexpr std::size_t alignment = 16;

    struct Block {
        Block* before;
    };
    Block* last_ = nullptr;
    std::size_t used_ = block_bytes;
    std::size_t blocks_ = 0;

  public:
    using value_type = us::byte_t;

    Nodes() noexcept = default;
    Nodes(Nodes&& other) noexcept { *this = std::move(other); }
    Nodes& operator=(Nodes&& other) noexcept {
        std::swap(last_, other.last_);
        std::swap(used_, other.used_);
        std::swap(blocks_, other.blocks_);
        return *this;
    }
    ~Nodes() noexcept { reset(); }

    us::byte_t* allocate(std::size_t bytes) noexcept {
        bytes = (bytes + alignment - 1) / alignment * alignment;
        if (bytes > block_bytes - used_) {
            if (bytes > block_bytes - alignment)
                return nullptr;
            void* block = mmap(nullptr, block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (block == MAP_FAILED)
                return nullptr;
#if defined(MADV_HUGEPAGE)
            // A refusal costs speed only.
            madvise(block, block_bytes, MADV_HUGEPAGE);
#endif
            last_ = new (block) Block{last_};
            used_ = alignment;
            blocks_++;
        }
        us::byte_t* node = reinterpret_cast<us::byte_t*>(last_) + used_;
        used_ += bytes;
        return node;
    }

    /// usearch frees nodes all at once, or none.
    void deallocate(us::byte_t*, std::size_t) noexcept { reset(); }

    void reset() noexcept {
        while (last_) {
            Block* before = last_->before;
            munmap(last_, block_bytes);
            last_ = before;
        }
        used_ = block_bytes;
        blocks_ = 0;
    }

    std::size_t bytes() const noexcept { return blocks_ * block_bytes - (blocks_ ? block_bytes - used_ : 0); }
};

using Index = us::index_gt<float, std::uint32_t, std::uint32_t, Heap<us::byte_t>, Nodes>;
using Node = Index::member_citerator_t;

/// What is added, or asked for: known to the engine only.
struct Asked {};

} // namespace

extern "C" {

/// The engine's distances: of a slot from what is asked, and between two slots.
struct ingot_metric {
    float (*from_query)(void const* codes, void const* query, std::uint32_t slot);
    float (*between)(void const* codes, std::uint32_t a, std::uint32_t b);
};

struct ingot_graph {
    Index index;
    ingot_metric metric;
    /// The slot of every node.
    Heap<std::uint32_t> heap;
    std::uint32_t* slots = nullptr;
    std::size_t room = 0;

    ~ingot_graph() noexcept { heap.deallocate(slots, room); }

    bool make_room(std::size_t nodes) noexcept {
        if (nodes <= room)
            return true;
        std::uint32_t* grown = heap.allocate(nodes);
        if (!grown)
            return false;
        if (slots)
            std::memcpy(grown, slots, index.size() * sizeof(std::uint32_t));
        heap.deallocate(slots, room);
        slots = grown;
        room = nodes;
        return true;
    }
};
}

namespace {

/// Distances as usearch asks for them.
struct Distances {
    ingot_graph const& graph;
    void const* codes;
    void const* query;

    std::uint32_t slot(Node const& node) const noexcept { return graph.slots[get_slot(node)]; }
    float operator()(Asked, Node const& node) const noexcept {
        return graph.metric.from_query(codes, query, slot(node));
    }
    float operator()(Node const& a, Node const& b) const noexcept {
        return graph.metric.between(codes, slot(a), slot(b));
    }
};

/// The slots and distances of the best, or `SIZE_MAX` when there is no memory.
template <typename Predicate>
std::size_t search(ingot_graph const& graph, std::size_t count, us::index_search_config_t how, Distances distances,
                   Predicate&& passes, float* found, std::uint32_t* slots) noexcept {
    auto result = graph.index.search(Asked{}, count, distances, how, passes);
    if (result.error.release())
        return SIZE_MAX;
    for (std::size_t place = 0; place != result.size(); ++place) {
        auto const match = result[place];
        found[place] = match.distance;
        slots[place] = graph.slots[get_slot(match.member)];
    }
    return result.size();
}

} // namespace

extern "C" {

ingot_graph* ingot_graph_new(std::size_t connectivity, ingot_metric metric) noexcept {
    auto made = Index::make(us::index_config_t(connectivity));
    if (made.error.release())
        return nullptr;
    return new (std::nothrow) ingot_graph{std::move(made.index), metric, {}};
}

void ingot_graph_free(ingot_graph* graph) noexcept { delete graph; }

std::size_t ingot_graph_size(ingot_graph const* graph) noexcept { return graph->index.size(); }

std::size_t ingot_graph_capacity(ingot_graph const* graph) noexcept { return graph->index.capacity(); }

std::size_t ingot_graph_bytes(ingot_graph const* graph) noexcept {
    return graph->index.tape_allocator().bytes() + graph->index.capacity() * (sizeof(void*) + sizeof(std::uint32_t));
}

bool ingot_graph_reserve(ingot_graph* graph, std::size_t nodes, std::size_t threads) noexcept {
    return graph->make_room(nodes) && graph->index.try_reserve(us::index_limits_t(nodes, threads));
}

char const* ingot_graph_add(ingot_graph* graph, std::uint32_t slot, std::size_t expansion, std::size_t place,
                            void const* codes, void const* query) noexcept {
    us::index_update_config_t how;
    how.expansion = expansion;
    how.thread = place;
    auto const remember = [=](auto const& node) noexcept { graph->slots[get_slot(node)] = slot; };
    return graph->index.add(slot, Asked{}, Distances{*graph, codes, query}, how, remember).error.release();
}

std::size_t ingot_graph_search(ingot_graph const* graph, std::size_t count, std::size_t expansion, std::size_t place,
                               void const* codes, void const* query, bool (*passes)(void const*, std::uint32_t),
                               void const* context, float* found, std::uint32_t* slots) noexcept {
    us::index_search_config_t how;
    how.expansion = expansion;
    how.thread = place;
    Distances const distances{*graph, codes, query};
    if (!passes)
        return search(*graph, count, how, distances, us::dummy_predicate_t{}, found, slots);
    auto const visible = [=](auto const& node) noexcept { return passes(context, graph->slots[get_slot(node)]); };
    return search(*graph, count, how, distances, visible, found, slots);
}

std::size_t ingot_graph_saved_bytes(ingot_graph const* graph) noexcept { return graph->index.serialized_length(); }

void ingot_graph_save(ingot_graph const* graph, std::uint8_t* to) noexcept {
    auto const write = [&](void const* bytes, std::size_t count) noexcept {
        std::memcpy(to, bytes, count);
        to += count;
        return true;
    };
    graph->index.save_to_stream(write).error.release();
}

char const* ingot_graph_load(ingot_graph* graph, std::uint8_t const* from, std::size_t length) noexcept {
    auto const read = [&](void* bytes, std::size_t count) noexcept {
        if (count > length)
            return false;
        std::memcpy(bytes, from, count);
        from += count;
        length -= count;
        return true;
    };
    if (char const* refused = graph->index.load_from_stream(read).error.release())
        return refused;
    if (!graph->make_room(graph->index.size()))
        return "Out of memory!";
    for (std::size_t node = 0; node != graph->index.size(); ++node)
        graph->slots[node] = graph->index.at(node).key;
    return nullptr;
}
}
