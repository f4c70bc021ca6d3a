// Text as numbers: the tokens that a training reads, in memory or in a file.
//
// A text is tokenized once. The file that keeps its tokens is found by what it was made from, the bytes of the texts and the vocabulary
// (its name is their hash), so a changed text or vocabulary never meets old tokens. Layout: 8 bytes "tailorid", u32 version, u32
// bytes of a token (2 where the vocabulary allows, else 4), u64 count, u64 hash of what it was made from, u64 hash of the tokens as i32;
// then the tokens, little-endian. It is mapped, not read: a text may be larger than memory. Several texts follow one another with the
// token that ends a text between them, where the vocabulary has one.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "text/tokenizer.h"

namespace tailor::train {

class Tokens {
  public:
    virtual ~Tokens() = default;
    virtual std::int64_t count() const = 0;
    /// Copies the tokens [begin, begin + count).
    virtual void read(std::int64_t begin, std::int64_t count, std::int32_t* to) const = 0;
    /// A hash of all tokens: the same for texts that are read alike, wherever they are kept.
    virtual std::uint64_t identity() const = 0;
};

/// Tokens in memory.
class ListedTokens : public Tokens {
  public:
    explicit ListedTokens(std::vector<text::TokenId> tokens) : tokens_(std::move(tokens)) {}
    std::int64_t count() const override { return static_cast<std::int64_t>(tokens_.size()); }
    void read(std::int64_t begin, std::int64_t count, std::int32_t* to) const override;
    std::uint64_t identity() const override;

  private:
    std::vector<text::TokenId> tokens_;
};

/// Tokens of a file.
class MappedTokens : public Tokens {
  public:
    /// Throws Error(io) if it cannot be read, Error(format) naming the path if it is none or its length is wrong; its tokens are not read.
    explicit MappedTokens(const std::string& path);
    std::int64_t count() const override { return count_; }
    void read(std::int64_t begin, std::int64_t count, std::int32_t* to) const override;
    std::uint64_t identity() const override { return identity_; }
    /// Of what it was made from.
    std::uint64_t source() const { return source_; }

  private:
    core::MappedFile file_;
    std::int64_t count_ = 0, bytes_per_token_ = 2;
    std::uint64_t source_ = 0, identity_ = 0;
};

/// Writes tokens as MappedTokens reads them, beside `path` and renamed. Throws Error(io).
void write_tokens(const std::string& path, const std::vector<text::TokenId>& tokens, std::uint64_t source);

/// The files of `paths`: a file is itself; a folder stands for all files in it and its folders whose names end in .txt, .text or .md, in the
/// order of their names. Throws Error(io) naming a path that is not there, Error(usage) naming a folder without such files.
std::vector<std::string> text_files(const std::vector<std::string>& paths);

/// The tokens of these texts, without BOS. With a `cache` folder, which is made if need be, they are kept there and found again; an empty one, or
/// one that cannot be written, keeps them in memory. `metadata` is what `tokenizer` was made from. Throws Error(io) if a text cannot be
/// read, Error(usage) naming a file that holds zero bytes.
std::unique_ptr<Tokens> tokens_of(const std::vector<std::string>& files, const text::Tokenizer& tokenizer, const files::Metadata& metadata, const std::string& cache);

}  // namespace tailor::train
