// See new_folder.h.
#include "core/new_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/mapped_file.h"

namespace tailor::core {

bool can_be_new_folder(const std::string& path) {
    std::error_code error;
    return !exists(path) || (is_folder(path) && std::filesystem::is_empty(path, error));
}

NewFolder::NewFolder(std::string path) : path_(std::move(path)) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
    if (!can_be_new_folder(path_)) fail(ErrorKind::usage, "{} exists already; a folder is written only where there is none", path_);
    temporary_ = path_ + ".part-" + std::to_string(::getpid());
    if (::mkdir(temporary_.c_str(), 0777) != 0) fail(ErrorKind::io, "cannot write {}: {}", path_, std::strerror(errno));
}

NewFolder::~NewFolder() {
    std::error_code error;
    if (!committed_) std::filesystem::remove_all(temporary_, error);
}

void NewFolder::commit() {
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(ErrorKind::io, "cannot write {}: {}", path_, std::strerror(errno));
    committed_ = true;
}

}  // namespace tailor::core
