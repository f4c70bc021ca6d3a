// Sessions on a small synthetic model: what must hold whatever the weights are.
#include "run/session.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/error.h"
#include "files/synthetic.h"
#include "formats/registry.h"

// Counts every allocation of this program, to prove that a warm decode step makes none. A sanitizer has its own allocator,
// which must not be replaced.
static std::atomic<std::size_t> allocations{0};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static constexpr bool counts_allocations = false;
#else
static constexpr bool counts_allocations = true;
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // GCC sees free() behind new when it inlines these
#endif
void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* const memory = std::malloc(bytes ? bytes : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace tailor::run {
namespace {

std::shared_ptr<LanguageModel> tiny(const char* format = "f32") { return LanguageModel::from_file(files::make_synthetic("llama-tiny", formats::get(format))); }

std::vector<float> copy(const core::Tensor& logits) { return {logits.row_f32(0), logits.row_f32(0) + logits.shape.elements()}; }

void expect_near(const std::vector<float>& a, const std::vector<float>& b, float tolerance) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance) << "at " << i;
}

const std::vector<text::TokenId> ids = {5, 9, 200, 13, 77, 77, 3, 410, 8, 21};

TEST(Session, WarmDecodeStepAllocatesNothing) {
    if (!counts_allocations) GTEST_SKIP() << "a sanitizer owns the allocator";
    for (const int threads : {1, 2}) {
        core::Pool pool(threads);
        Session session(tiny("q8_0"), pool, {});
        session.prefill(ids);
        const text::TokenId next = 4;
        session.evaluate({&next, 1});
        const std::size_t before = allocations.load();
        for (int i = 0; i < 5; ++i) session.evaluate({&next, 1});
        EXPECT_EQ(before, allocations.load()) << threads << " threads";
    }
}

TEST(Session, ChunksSlotsAndOneBatchAgree) {
    core::Pool pool(2);
    const auto model = tiny();
    Session session(model, pool, {}), small(model, pool, {.batch = 3}), slots(model, pool, {.slots = 3});
    const std::vector<float> whole = copy(session.prefill(ids));
    expect_near(whole, copy(small.prefill(ids)), 2e-5f);
    std::vector<float> last;
    for (const text::TokenId id : ids) last = copy(slots.evaluate_slots(std::vector<text::TokenId>{id, 7, id}));
    expect_near(whole, {last.begin(), last.begin() + 512}, 2e-5f);
    expect_near(whole, {last.end() - 512, last.end()}, 2e-5f);
}

TEST(Session, ResetForgets) {
    core::Pool pool(1);
    Session session(tiny(), pool, {});
    const std::vector<float> first = copy(session.prefill(ids));
    EXPECT_EQ(10, session.past());
    session.reset();
    EXPECT_EQ(first, copy(session.prefill(ids)));
}

TEST(Session, KeepForgetsWhatFollows) {
    core::Pool pool(2);
    for (const char* const kv : {"f32", "f16"}) {
        Session session(tiny(), pool, {.kv_format = kv}), fresh(tiny(), pool, {.kv_format = kv});
        const std::vector<float> expected = copy(fresh.prefill(ids));
        session.prefill(ids);
        session.prefill(ids);
        EXPECT_EQ(20, session.keep(25));
        EXPECT_EQ(6, session.keep(6));
        EXPECT_EQ(6, session.past());
        // Ten rows and four meet other kernels; on caches below f32 those for many rows round queries and keys to 16 bits.
        expect_near(expected, copy(session.prefill(std::span(ids).subspan(6))), 5e-4f);
        EXPECT_EQ(0, session.keep(0));
        expect_near(expected, copy(session.prefill(ids)), 0);
    }
}

TEST(Session, SwappedWeightIsUsedAndCanBePutBack) {
    core::Pool pool(1);
    const auto model = tiny();
    Session session(model, pool, {});
    const std::vector<float> original = copy(session.prefill(ids));
    const core::Tensor old = model->weights().find("blk.1.ffn_down.weight");
    core::Tensor zero = formats::make_tensor(formats::get("q8_0"), old.shape);
    session.set_weight("blk.1.ffn_down.weight", zero);
    session.reset();
    EXPECT_NE(original, copy(session.prefill(ids)));
    session.set_weight("blk.1.ffn_down.weight", old);
    session.reset();
    EXPECT_EQ(original, copy(session.prefill(ids)));
}

TEST(Session, RefusesWhatCannotBe) {
    core::Pool pool(1);
    Session session(tiny(), pool, {.context = 4});
    const std::vector<text::TokenId> outside = {512};
    EXPECT_THROW(session.evaluate(outside), core::Error);
    EXPECT_THROW(session.evaluate(ids), core::Error);
    EXPECT_THROW(Session(tiny(), pool, {.kv_format = "nonsense"}), core::Error);
}

TEST(Session, KvFormatsStayClose) {
    core::Pool pool(1);
    const auto model = tiny();
    Session exact(model, pool, {}), half(model, pool, {.kv_format = "f16"});
    expect_near(copy(exact.prefill(ids)), copy(half.prefill(ids)), 0.02f);
}

TEST(Session, ReferenceAgreesWithKernels) {
    core::Pool pool(1);
    const auto model = tiny("q4_0");
    Session packed(model, pool, {}), in_rows(model, pool, {.pack = false}), slow(model, pool, {.use_reference = true});
    const std::vector<float> expected = copy(slow.prefill(ids));
    expect_near(expected, copy(in_rows.prefill(ids)), 1e-4f);
    expect_near(expected, copy(packed.prefill(ids)), 5e-4f);  // activations of 16 bits
}

}  // namespace
}  // namespace tailor::run
