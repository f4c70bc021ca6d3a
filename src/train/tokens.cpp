// Files of tokens; see tokens.h.
#include "train/tokens.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>

#include "core/error.h"
#include "core/hash.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

static constexpr char magic[8] = {'t', 'a', 'i', 'l', 'o', 'r', 'i', 'd'};

struct Header {
    char magic[8];
    std::uint32_t version = 1, bytes_per_token = 2;
    std::uint64_t count = 0, source = 0, identity = 0;
};
static_assert(sizeof(Header) == 40);

static std::uint64_t hash_of(const std::vector<text::TokenId>& tokens) { return core::hash64(std::as_bytes(std::span(tokens))); }

void ListedTokens::read(std::int64_t begin, std::int64_t count, std::int32_t* to) const { std::copy_n(tokens_.begin() + begin, count, to); }
std::uint64_t ListedTokens::identity() const { return hash_of(tokens_); }

MappedTokens::MappedTokens(const std::string& path) : file_(path) {
    Header header;
    if (file_.bytes().size() < sizeof header) fail(ErrorKind::format, "{}: {} bytes are no file of tokens", path, file_.bytes().size());
    std::memcpy(&header, file_.bytes().data(), sizeof header);
    if (std::memcmp(header.magic, magic, sizeof magic) != 0 || header.version != 1) fail(ErrorKind::format, "{}: this is no file of tokens of this program", path);
    const std::uint64_t bytes = file_.bytes().size() - sizeof header;
    if ((header.bytes_per_token != 2 && header.bytes_per_token != 4) || header.count > bytes || header.count * header.bytes_per_token != bytes)
        fail(ErrorKind::format, "{}: {} tokens of {} bytes do not fill {} bytes; delete the file, it will be made anew", path, header.count, header.bytes_per_token, bytes);
    count_ = static_cast<std::int64_t>(header.count), bytes_per_token_ = header.bytes_per_token;
    source_ = header.source, identity_ = header.identity;
}

void MappedTokens::read(std::int64_t begin, std::int64_t count, std::int32_t* to) const {
    const std::byte* const from = file_.bytes().data() + sizeof(Header) + begin * bytes_per_token_;
    if (bytes_per_token_ == 4) {
        std::memcpy(to, from, static_cast<std::size_t>(count) * 4);
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        std::uint16_t id = 0;
        std::memcpy(&id, from + 2 * i, 2);
        to[i] = id;
    }
}

void write_tokens(const std::string& path, const std::vector<text::TokenId>& tokens, std::uint64_t source) {
    Header header{.count = tokens.size(), .source = source, .identity = hash_of(tokens)};
    std::memcpy(header.magic, magic, sizeof magic);
    const bool narrow = std::all_of(tokens.begin(), tokens.end(), [](text::TokenId id) { return id <= 0xFFFF; });
    header.bytes_per_token = narrow ? 2 : 4;
    core::AtomicFile file(path);
    file.write(&header, sizeof header);
    if (narrow) {
        const std::vector<std::uint16_t> ids(tokens.begin(), tokens.end());
        file.write(ids.data(), ids.size() * 2);
    } else {
        file.write(tokens.data(), tokens.size() * 4);
    }
    file.commit();
}

static void add_folder(const std::string& folder, std::vector<std::string>& files) {
    std::vector<std::string> found;
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string ending = at->path().extension().string();
        if ((ending == ".txt" || ending == ".text" || ending == ".md") && at->is_regular_file(error)) found.push_back(at->path().string());
    }
    if (error) fail(ErrorKind::io, "{}: {}", folder, error.message());
    if (found.empty()) fail(ErrorKind::usage, "{}: the folder has no text: no file whose name ends in .txt, .text or .md", folder);
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
}

std::vector<std::string> text_files(const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths) {
        std::error_code error;
        if (std::filesystem::is_directory(path, error)) add_folder(path, files);
        else if (path == "-" || std::filesystem::exists(path, error)) files.push_back(path);
        else fail(ErrorKind::io, "{}: there is no such text file or folder", path);
    }
    return files;
}

// What the tokens depend on: the texts and everything the file says of its tokenizer.
static std::uint64_t source_hash(const std::vector<std::string>& files, const files::Metadata& metadata) {
    std::uint64_t hash = 0;
    for (const auto& [key, value] : metadata.entries())
        if (key.starts_with("tokenizer.")) hash = core::hash64(value.json().text(-1), core::hash64(key, hash));
    for (const std::string& path : files) {
        const core::MappedFile text(path);
        hash = core::hash64(text.bytes(), core::hash64(core::format("{}", text.bytes().size()), hash));
    }
    return hash;
}

static std::vector<text::TokenId> encode(const std::vector<std::string>& files, const text::Tokenizer& tokenizer) {
    std::vector<text::TokenId> tokens;
    for (const std::string& path : files) {
        const std::string text = core::read_text_file(path);
        if (text.find('\0') != std::string::npos) fail(ErrorKind::usage, "{} is no text: it holds zero bytes", path);
        const std::vector<text::TokenId> ids = tokenizer.encode(text, {.add_special = false});
        if (!tokens.empty() && tokenizer.eos() >= 0) tokens.push_back(tokenizer.eos());
        tokens.insert(tokens.end(), ids.begin(), ids.end());
    }
    return tokens;
}

std::unique_ptr<Tokens> tokens_of(const std::vector<std::string>& files, const text::Tokenizer& tokenizer, const files::Metadata& metadata, const std::string& cache) {
    if (cache.empty() || std::find(files.begin(), files.end(), "-") != files.end()) return std::make_unique<ListedTokens>(encode(files, tokenizer));
    const std::uint64_t source = source_hash(files, metadata);
    const std::string path = cache + core::format("/{:016x}.tokens", source);
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) {
        try {
            auto tokens = std::make_unique<MappedTokens>(path);
            if (tokens->source() == source) return tokens;
        } catch (const core::Error& error) {  // cut short or foreign: made anew below
            if (error.kind() != ErrorKind::format) throw;
        }
    }
    std::vector<text::TokenId> tokens = encode(files, tokenizer);
    try {
        std::filesystem::create_directories(cache, ignored);
        write_tokens(path, tokens, source);
    } catch (const core::Error& error) {  // a cache that cannot be written costs the next run its time, not this one its text
        if (error.kind() != ErrorKind::io) throw;
        return std::make_unique<ListedTokens>(std::move(tokens));
    }
    return std::make_unique<MappedTokens>(path);
}

}  // namespace tailor::train
