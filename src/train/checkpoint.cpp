// The layout of the file, its hash, and the way to its place; see checkpoint.h.
#include "train/checkpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/hash.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

static constexpr std::string_view magic = "tailorck";

// Of a process that was killed while it wrote: "<path>.part-<id>" of a process that is no more. Errors do not matter here.
static void remove_leftovers(const std::filesystem::path& path) {
    const std::string prefix = path.filename().string() + ".part-";
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    std::error_code ignored;
    std::vector<std::filesystem::path> found;
    for (std::filesystem::directory_iterator at(folder, ignored), end; !ignored && at != end; at.increment(ignored)) {
        const std::string name = at->path().filename().string();
        if (name.size() <= prefix.size() || !name.starts_with(prefix)) continue;
        char* rest = nullptr;
        const long id = std::strtol(name.c_str() + prefix.size(), &rest, 10);
        if (*rest == 0 && id > 0 && ::kill(static_cast<pid_t>(id), 0) != 0 && errno == ESRCH) found.push_back(at->path());
    }
    for (const std::filesystem::path& file : found) std::filesystem::remove(file, ignored);
}

// The new name is on disk only when its folder is.
static void flush_folder(const std::filesystem::path& path) {
    const int folder = ::open(path.has_parent_path() ? path.parent_path().c_str() : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    ::fsync(folder);
    ::close(folder);
}

std::uint64_t write_checkpoint(const std::string& path, const core::Json& about, std::span<const Piece> pieces) {
    core::Json list{core::Json::Array{}};
    for (const Piece& piece : pieces) list.add(core::Json().set("name", piece.name).set("bytes", static_cast<std::int64_t>(piece.size())));
    core::Json head;
    head.set("version", 1).set("about", about).set("pieces", std::move(list));
    const std::string text = head.text(-1);
    remove_leftovers(path);
    core::AtomicFile file(path);
    std::uint64_t hash = 0;
    const auto write = [&](const void* data, std::size_t bytes) {
        hash = core::hash64(std::span(static_cast<const std::byte*>(data), bytes), hash);
        file.write(data, bytes);
    };
    const std::uint64_t length = text.size();
    write(magic.data(), magic.size());
    write(&length, sizeof length);
    write(text.data(), text.size());
    for (const Piece& piece : pieces) {
        const std::span<const std::byte> bytes = piece.gather ? piece.gather() : piece.bytes;
        if (bytes.size() != piece.size()) fail(ErrorKind::bug, "{} has {} bytes, {} were given", piece.name, piece.size(), bytes.size());
        write(bytes.data(), bytes.size());
    }
    file.write(&hash, sizeof hash);
    const std::uint64_t bytes = file.position();
    file.commit();
    flush_folder(path);
    return bytes;
}

Checkpoint::Checkpoint(const std::string& path) : path_(path), file_(path) {
    const std::span<const std::byte> all = file_.bytes();
    const auto damaged = [&](std::string_view what) { fail(ErrorKind::format, "{}: the checkpoint is damaged: {}; resume from another, or delete it to begin anew", path_, what); };
    if (all.size() < magic.size() || std::memcmp(all.data(), magic.data(), magic.size()) != 0)
        fail(ErrorKind::format, "{}: this is no checkpoint of a training; it does not begin with '{}'", path_, magic);
    std::uint64_t length = 0, stored = 0;
    constexpr std::size_t fixed = 8 + sizeof length, end = sizeof stored;
    if (all.size() < fixed + end) damaged(core::format("it has {} bytes only", all.size()));
    std::memcpy(&length, all.data() + 8, sizeof length);
    if (length > all.size() - fixed - end) damaged(core::format("it ends within its description, after {} bytes", all.size()));
    std::uint64_t hash = core::hash64(all.first(8), 0);
    hash = core::hash64(all.subspan(8, sizeof length), hash);
    const std::span<const std::byte> text = all.subspan(fixed, length);
    hash = core::hash64(text, hash);
    core::Json head;
    try {
        head = core::Json::parse({reinterpret_cast<const char*>(text.data()), text.size()}, path_);
        if (head.at("version").integer() != 1) fail(ErrorKind::unsupported, "{}: a checkpoint of version {}; this program knows version 1", path_, head.at("version").integer());
        about_ = head.at("about"), list_ = head.at("pieces");
        std::size_t at = first_ = fixed + length;
        for (const core::Json& piece : list_.items()) {
            const auto bytes = static_cast<std::uint64_t>(piece.at("bytes").integer());
            if (bytes > all.size() - end - at) damaged(core::format("it ends within {}, after {} bytes", piece.at("name").string(), all.size()));
            hash = core::hash64(all.subspan(at, bytes), hash);
            at += bytes;
        }
        if (at != all.size() - end) damaged(core::format("{} bytes follow its last block", all.size() - end - at));
    } catch (const core::Error& error) {
        if (error.kind() == ErrorKind::unsupported || std::string_view(error.what()).starts_with(path_ + ": the checkpoint")) throw;
        damaged("its description cannot be read");
    }
    std::memcpy(&stored, all.data() + all.size() - end, end);
    if (stored != hash) damaged("its hash is not that of its content");
}

void Checkpoint::restore(std::span<const Piece> pieces) const {
    const core::Json::Array& list = list_.items();
    for (std::size_t i = 0; i < std::max(pieces.size(), list.size()); ++i) {
        const std::string there = i < list.size() ? core::format("{} of {} bytes", list[i].at("name").string(), list[i].at("bytes").integer()) : "nothing";
        const std::string here = i < pieces.size() ? core::format("{} of {} bytes", pieces[i].name, pieces[i].size()) : "nothing";
        if (there != here) fail(ErrorKind::usage, "{}: the checkpoint is of another model or optimizer: it holds {} where {} is wanted", path_, there, here);
    }
    std::size_t at = first_;
    for (const Piece& piece : pieces) {
        if (!piece.bytes.empty()) std::memcpy(piece.bytes.data(), file_.bytes().data() + at + piece.offset, piece.bytes.size());
        at += piece.size();
    }
}

}  // namespace tailor::train
