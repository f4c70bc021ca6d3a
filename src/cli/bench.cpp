// tailor bench: tokens per second, beside what this machine could do at most.
//
// Two kinds of tests, named as the field names them: pp512 evaluates a prompt of 512 tokens, tg128 writes 128 tokens one by
// one; both start from an empty context, with pseudo-random ids. tg128x8 writes 128 tokens for each of eight sequences
// together; tg128@8192 writes them behind 8,192 tokens of context. Every repetition is timed on its own after a warm-up.
// The bounds are those of the roofline model: a step cannot be faster than its multiply-adds at the peak rates of the units
// that its kernels multiply with, nor than its weights and cached keys and values come from memory. Peaks are the best ever
// seen on this machine. Bandwidth is measured between the repetitions, since neighbours change it from second to second.
#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <set>

#include "cli/common.h"
#include "cli/machine.h"
#include "core/error.h"
#include "core/statistics.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "measure/energy.h"

namespace tailor::cli::bench_command {

struct Settings {
    ModelOptions model;
    std::string shape, format = "q4_k", output = "markdown";
    std::vector<std::int32_t> prompts{512}, writes{128}, sequences{1};
    std::int64_t depth = 0;
    std::int64_t repetitions = 5;
    bool no_limits = false;
};

static void declare(Options& options, Settings& s) {
    std::vector<std::string> shapes;
    for (const files::SyntheticShape& shape : files::synthetic_shapes()) shapes.emplace_back(shape.name);
    s.model.add(options);
    options.add("--shape", s.shape, "a synthetic model of this shape in place of a file: " + core::join(shapes, ", "));
    options.add("--format", s.format, "number format of the synthetic model");
    options.add("-p,--prompt-tokens", s.prompts, "lengths of prompts to evaluate, 128,512; 0: none (default 512)");
    options.add("-n,--predict", s.writes, "numbers of tokens to write, 32,128; 0: none (default 128)");
    options.add("-s,--sequences", s.sequences, "numbers of sequences that write together, 1,8,32 (default 1)");
    options.add("-d,--depth", s.depth, "tokens of context that stand before those written");
    options.add("-r,--repetitions", s.repetitions, "how often each test is timed");
    options.add("-o,--output", s.output, "markdown, csv or json");
    options.flag("--no-limits", s.no_limits, "do not measure the machine's limits (saves 4 s)");
}

struct Test {
    bool writes;  ///< tg, else pp
    std::int64_t tokens;         ///< of each sequence
    std::int64_t sequences = 1;  ///< that write together
    std::int64_t depth = 0;      ///< tokens before them, not timed
    std::string name() const {
        return (writes ? "tg" : "pp") + std::to_string(tokens) + (sequences > 1 ? "x" + std::to_string(sequences) : "") +
               (depth > 0 ? "@" + std::to_string(depth) : "");
    }
};

struct Result {
    Test test;
    std::vector<double> rates;  ///< tokens per second of each repetition
    double read_bytes_per_second = 0;  ///< median of what was measured between the repetitions; 0: not measured
    double limit = 0;           ///< 0: not known
    std::string limit_by;       ///< what the limit is, or why there is none
    double joules_per_token = 0;  ///< 0: not readable
};

static std::vector<text::TokenId> random_ids(std::int64_t count, std::int64_t vocabulary) {
    std::mt19937 random(1);
    std::vector<text::TokenId> ids;
    for (std::int64_t i = 0; i < count; ++i) ids.push_back(static_cast<text::TokenId>(random() % static_cast<std::uint64_t>(vocabulary)));
    return ids;
}

// Fills the contexts up to the depth of the test. Behind a depth the repetitions follow one another: filling it again for
// each would take longer than all of them.
static void prepare(run::Session& session, const Test& test, bool first) {
    if (test.depth > 0 && !first) return;
    const std::vector<text::TokenId> ids = random_ids(test.depth, session.model().facts().vocabulary);
    for (std::int64_t slot = 0; slot < test.sequences; ++slot) {
        session.reset(slot);
        if (!ids.empty()) session.prefill(ids, slot);
    }
}

/// Tells `progress` how many tokens of each sequence are done.
static void evaluate(run::Session& session, const Test& test, std::span<const text::TokenId> ids, const run::Progress& progress = {}) {
    const auto total = static_cast<std::int64_t>(ids.size());
    session.set_progress(progress);
    if (!test.writes) session.prefill(ids);
    session.set_progress({});
    if (!test.writes) return;
    std::vector<text::TokenId> step(static_cast<std::size_t>(test.sequences));
    for (std::size_t i = 0; i < ids.size(); ++i) {
        core::check_interrupt();
        for (std::size_t s = 0; s < step.size(); ++s) step[s] = ids[(i + s) % ids.size()];
        session.evaluate_slots(step);
        if (progress) progress(static_cast<std::int64_t>(i) + 1, total);
    }
}

/// Weights that a step reads whole; of the embedding only one row is read.
static double weight_bytes(const graph::Graph& graph) {
    std::set<graph::Value> read;
    for (const graph::Node& node : graph.nodes())
        if (node.op && node.op->name != "gather")
            for (const graph::Value input : node.inputs)
                if (input != graph::absent && graph.node(input).is_constant()) read.insert(input);
    double bytes = 0;
    for (const graph::Value value : read) {
        const core::Tensor& weight = graph.node(value).constant;
        bytes += static_cast<double>(formats::tensor_bytes(*weight.format, weight.shape));
    }
    return bytes;
}

struct Peak {
    ops::Unit unit;
    const char* name;
    double measure::MachineLimits::*rate;
};
static constexpr Peak peaks[] = {{ops::Unit::vector_f32, "f32 vector peak", &measure::MachineLimits::vector_flops_per_second},
                                 {ops::Unit::vector_int16, "int16 vector peak", &measure::MachineLimits::vector_int16_ops_per_second},
                                 {ops::Unit::vector_int8, "int8 vector peak", &measure::MachineLimits::vector_int8_ops_per_second},
                                 {ops::Unit::tile_bf16, "bf16 tile peak", &measure::MachineLimits::tile_bf16_flops_per_second},
                                 {ops::Unit::tile_int8, "int8 tile peak", &measure::MachineLimits::tile_int8_ops_per_second}};

// The bound of a test on this machine.
static void set_limit(Result& result, run::Session& session, const measure::MachineLimits& machine) {
    const Test& test = result.test;
    const std::int64_t rows = test.writes ? test.sequences : std::min(test.tokens, session.options().batch);
    const graph::Plan& plan = session.plan(rows, test.writes ? rows : 1);
    double seconds = 0, largest = 0;
    for (const Peak& peak : peaks) {
        const double flops = plan.cost(peak.unit).flops;
        if (flops == 0) continue;
        seconds += flops / (machine.*peak.rate);
        if (flops > largest) largest = flops, result.limit_by = peak.name;
    }
    // On average half of the tokens written stand in the cache.
    const double share = (static_cast<double>(test.depth) + static_cast<double>(test.tokens) / 2) / static_cast<double>(session.context());
    const double bytes = weight_bytes(plan.graph()) + (test.writes ? share * static_cast<double>(session.state_bytes()) : 0);
    const double reading = bytes / result.read_bytes_per_second;
    if (bytes >= static_cast<double>(machine.l3_bytes) && reading > seconds) seconds = reading, result.limit_by = "memory bandwidth";
    else if (test.writes && test.sequences == 1) return void(result.limit_by = "none: what a token reads fits in the last-level cache");
    result.limit = static_cast<double>(rows) / seconds;
}

static Result time_test(const Test& test, run::Session& session, std::int64_t repetitions, measure::ReadMeter* meter, ProgressLine& line,
                        std::int64_t& done, std::int64_t total) {
    const std::vector<text::TokenId> ids = random_ids(test.tokens, session.model().facts().vocabulary);
    // A few tokens touch all weights once; a prompt needs a full batch, for its plan and its arena.
    const std::size_t warm_tokens = test.writes ? 4 : static_cast<std::size_t>(session.options().batch);
    prepare(session, test, true);
    evaluate(session, test, std::span(ids).first(std::min(warm_tokens, ids.size())));
    Result result{test};
    measure::EnergyMeter energy;
    double joules = 0;
    std::vector<double> readings;
    for (std::int64_t r = 0; r < repetitions; ++r) {
        prepare(session, test, false);
        energy.start();
        const auto start = std::chrono::steady_clock::now();
        evaluate(session, test, ids, [&](std::int64_t tokens, std::int64_t) { line.update(done + tokens, total); });
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        joules += energy.joules().value_or(0);
        result.rates.push_back(static_cast<double>(test.tokens * test.sequences) / seconds);
        if (meter) readings.push_back(meter->bytes_per_second());
        done += test.tokens;
    }
    if (meter) result.read_bytes_per_second = core::median(readings);
    result.joules_per_token = joules / static_cast<double>(repetitions * test.tokens * test.sequences);
    return result;
}

/// The format of most weight bytes.
static std::string main_format(const run::LanguageModel& model) {
    std::map<std::string, std::uint64_t> bytes;
    for (const files::TensorInfo& tensor : model.file().tensors()) bytes[std::string(tensor.format->name)] += tensor.bytes;
    return std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
}

static core::Json row_json(const Result& r, const Settings& s, const run::Session& session, int threads, const std::string& processor) {
    const run::LanguageModel& model = session.model();
    const double rate = core::mean(r.rates);
    core::Json j;
    j.set("test", r.test.name()).set("tokens_per_second", rate).set("standard_deviation", r.rates.size() > 1 ? core::Json(core::standard_deviation(r.rates)) : core::Json());
    j.set("limit", r.limit > 0 ? core::Json(r.limit) : core::Json()).set("share_of_limit", r.limit > 0 ? core::Json(rate / r.limit) : core::Json());
    j.set("read_bytes_per_second", r.read_bytes_per_second > 0 ? core::Json(r.read_bytes_per_second) : core::Json());
    j.set("limit_by", r.limit_by.empty() ? core::Json() : core::Json(r.limit_by));
    j.set("model", s.shape.empty() ? model.file().path() : s.shape).set("family", model.family().name).set("format", main_format(model));
    j.set("parameters", model.facts().parameters).set("bytes", model.facts().weight_bytes).set("threads", threads);
    j.set("isa", cpu::name(session.options().isa)).set("processor", processor).set("batch", session.options().batch).set("fast", session.options().fast).set("packed", session.options().pack);
    j.set("kv_format", session.options().kv_format).set("state_bytes", session.state_bytes()).set("arena_bytes", session.arena_bytes());
    j.set("joules_per_token", r.joules_per_token > 0 ? core::Json(r.joules_per_token) : core::Json());
    return j.set("samples", core::Json::array(r.rates));
}

static std::string number(const core::Json& value, const char* pattern, double scale = 1) {
    return value.is_number() ? core::format(pattern, value.number() * scale) : "";
}

static std::string markdown(const core::Json& rows) {
    std::string text = "| model | format | size | parameters | threads | isa | test | tokens/s | limit | share |\n"
                       "|---|---|---|---|---|---|---|---|---|---|\n";
    for (const core::Json& row : rows.items())
        text += core::format("| {} | {} | {} | {} | {} | {} | {} | {}{} | {} | {} |\n", row.at("model").string(), row.at("format").string(),
                             core::human_bytes(row.at("bytes").number()), human_count(row.at("parameters").number()), row.at("threads").integer(),
                             row.at("isa").string(), row.at("test").string(), number(row.at("tokens_per_second"), "{:.2f}"),
                             number(row.at("standard_deviation"), " ± {:.2f}"), number(row.at("limit"), "{:.1f}"),
                             number(row.at("share_of_limit"), "{:.1f} %", 100));
    return text;
}

static std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
    return result + "\"";
}

static std::string csv(const core::Json& rows) {
    std::string text;
    for (const core::Json& row : rows.items()) {
        std::vector<std::string> names, values;
        for (const auto& [key, value] : row.members()) {
            if (value.is_array()) continue;
            names.push_back(key);
            const std::string text_of_value = value.is_string() ? quoted(value.string()) : value.text(-1);
            values.push_back(text_of_value == "null" ? "" : text_of_value);
        }
        if (text.empty()) text = core::join(names, ",") + "\n";
        text += core::join(values, ",") + "\n";
    }
    return text;
}

static void check(const Settings& s) {
    const auto fail_unless = [](bool good, const std::string& message) {
        if (!good) core::fail(core::ErrorKind::usage, "{}", message);
    };
    fail_unless(s.output == "markdown" || s.output == "csv" || s.output == "json", "-o is markdown, csv or json, not '" + s.output + "'");
    fail_unless(s.repetitions >= 1, "-r must be at least 1");
    fail_unless(s.shape.empty() || s.model.model.empty(), "give a model or --shape, not both");
    fail_unless(s.depth >= 0, "--depth must not be negative");
    for (const std::int32_t n : s.sequences) fail_unless(n >= 1, "-s must be at least 1");
    for (const auto& lengths : {s.prompts, s.writes})
        for (const std::int32_t length : lengths) fail_unless(length >= 0, "lengths of -p and -n must not be negative");
}

static std::shared_ptr<run::LanguageModel> open(const Settings& s) {
    if (s.shape.empty()) return s.model.open();
    return run::LanguageModel::from_file(files::make_synthetic(s.shape, formats::get(s.format)));
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    check(s);
    std::vector<Test> tests;
    for (const std::int32_t n : s.prompts)
        if (n > 0) tests.push_back({false, n});
    for (const std::int32_t n : s.writes)
        for (const std::int32_t sequences : s.sequences)
            if (n > 0) tests.push_back({true, n, sequences, s.depth});
    if (tests.empty()) core::fail(core::ErrorKind::usage, "there is nothing to time: -p and -n are both 0");
    core::Pool pool(checked_threads(s.model.threads));
    const std::shared_ptr<run::LanguageModel> model = open(s);
    run::SessionOptions wanted = s.model.session();
    for (const Test& test : tests) {
        wanted.context = std::max(wanted.context, test.depth + test.tokens * (test.depth > 0 ? s.repetitions + 1 : 1));
        wanted.slots = std::max(wanted.slots, test.sequences);
    }
    run::Session session(model, pool, wanted);
    std::optional<measure::MachineLimits> machine;
    std::unique_ptr<measure::ReadMeter> meter;
    if (!s.no_limits) {
        meter = std::make_unique<measure::ReadMeter>(pool, session.options().isa);
        measure::Store store(measure::Store::default_directory(), note);
        machine = with_best_peaks(measure::measure_machine(pool, session.options().isa), store);
    }
    core::Json rows{core::Json::Array{}};
    std::int64_t done = 0, total = 0;
    for (const Test& test : tests) total += s.repetitions * test.tokens;
    {
        ProgressLine line("timed tokens");
        for (const Test& test : tests) {
            Result result = time_test(test, session, s.repetitions, meter.get(), line, done, total);
            if (machine) set_limit(result, session, *machine);
            rows.add(row_json(result, s, session, pool.threads(), measure::processor_name()));
        }
    }
    if (options.json() || s.output == "json") print_json(rows);
    else print(s.output == "csv" ? csv(rows) : markdown(rows));
    if (machine && !options.json() && s.output == "markdown")
        print(core::format("\n{}, {} threads: reads {:.1f} GB/s, f32 vectors {:.0f} GFLOP/s, int16 vectors {:.0f} GOP/s\n", machine->processor,
                           machine->threads, machine->read_bytes_per_second * 1e-9, machine->vector_flops_per_second * 1e-9,
                           machine->vector_int16_ops_per_second * 1e-9));
}

}  // namespace tailor::cli::bench_command

namespace tailor::cli::entries {
extern const Command bench = {
    .name = "bench",
    .doc = "time prompts and writing, beside the machine's limits",
    .examples = "tailor bench model.gguf\n"
                "tailor bench model.gguf -p 128,512 -n 64 -t 2 -r 3 --json\n"
                "tailor bench --shape llama-1.1b --format q8_0 -p 512 -n 128\n"
                "tailor bench model.gguf -p 0 -n 64 -s 1,8,32 --fast\n"
                "tailor bench model.gguf -p 8192 -n 32 -d 8192 --kv q8_0\n"
                "tailor bench model.gguf -p 0 -n 128 -o csv --no-limits",
    .run = &bench_command::run,
    .place = 40,
};
}  // namespace tailor::cli::entries
