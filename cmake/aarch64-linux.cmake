# Cross-compiling for 64-bit ARM with Debian's g++-aarch64-linux-gnu; tests then run under qemu-aarch64 by themselves.
#
# TAILOR_ARM64_ROOT is a folder into which the arm64 packages of the libraries were unpacked; scripts/test_portability.sh
# makes one. Nothing of the building machine's own libraries is looked at, only its programs.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(TAILOR_ARM64_ROOT "" CACHE PATH "Folder of unpacked arm64 packages")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TAILOR_ARM64_ROOT)
if(NOT IS_DIRECTORY "${TAILOR_ARM64_ROOT}/usr/include")
  message(FATAL_ERROR "TAILOR_ARM64_ROOT=\"${TAILOR_ARM64_ROOT}\" holds no usr/include; scripts/test_portability.sh makes such a folder")
endif()

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_SYSROOT ${TAILOR_ARM64_ROOT})
set(CMAKE_FIND_ROOT_PATH ${TAILOR_ARM64_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_LIBDIR} ${TAILOR_ARM64_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${TAILOR_ARM64_ROOT}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${TAILOR_ARM64_ROOT})

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L ${TAILOR_ARM64_ROOT})
