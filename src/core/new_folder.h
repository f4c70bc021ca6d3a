// A folder that is written whole or not at all.
#pragma once
#include <string>

namespace tailor::core {

/// Whether a folder can be made of this name: there is nothing of it yet, or an empty folder.
bool can_be_new_folder(const std::string& path);

/// A folder filled beside its destination and renamed by commit(); if it is destroyed before, it is removed with what is in it.
class NewFolder {
  public:
    /// Creates `path` + ".part-<pid>". Throws Error(usage) if there is something of that name already, Error(io) if it cannot be made.
    explicit NewFolder(std::string path);
    ~NewFolder();
    NewFolder(const NewFolder&) = delete;
    NewFolder& operator=(const NewFolder&) = delete;

    /// Where the files go until commit().
    const std::string& temporary() const { return temporary_; }
    void commit();

  private:
    std::string path_, temporary_;
    bool committed_ = false;
};

}  // namespace tailor::core
