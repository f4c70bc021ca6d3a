# tailor_folder(NAME [HOT] [REGISTRY Type] [HEADERS files... | HEADERS_OF folder] [PRIVATE libs...] [PUBLIC libs...])
#   src/NAME becomes the static library tailor_NAME, linked to every folder declared before it; src/NAME/**/*_test.cpp
#   becomes the test executable NAME_test. HEADERS, of this folder or below it, are those most of its files include: with the
#   standard library's they are parsed once, for this folder and those that name it as HEADERS_OF; the many short files are little
#   else. Tests share one such set. Every file includes what it uses all the same; -DTAILOR_PRECOMPILED=OFF, as in the preset `clang`,
#   shows whether it does. Where time is spent (HOT) a release is compiled with -O3, tests with -O0: a third of a build is tests.
# tailor_registry(PATH Type)
#   Writes the table of a registry folder. An entry is a file PATH/x.cpp, or a folder PATH/x/ holding x.cpp; it defines
#   `extern const Type x` in namespace tailor::<path>::entries. Support code lives in PATH/registry/, headers beside the entries.
#   The table is ordinary code, not static initializers: a linker drops those from static libraries.

set(TAILOR_FOLDERS "" CACHE INTERNAL "")
option(TAILOR_PRECOMPILED "Parse the headers that most files of a folder include once for all of them" ON)
set(TAILOR_TEST_HEADERS <gtest/gtest.h> core/json.h core/error.h ops/support.h graph/plan.h)
set(TAILOR_STANDARD_HEADERS <algorithm> <cmath> <cstring> <functional> <map> <memory> <optional> <span> <string> <variant> <vector>)

function(tailor_registry path type)
  set(root ${CMAKE_SOURCE_DIR}/src/${path})
  file(GLOB candidates RELATIVE ${root} CONFIGURE_DEPENDS ${root}/*.cpp ${root}/*/*.cpp)
  set(names "")
  get_filename_component(folder ${path} NAME)
  foreach(file ${candidates})
    get_filename_component(name ${file} NAME_WE)
    get_filename_component(parent ${file} DIRECTORY)
    if(name MATCHES "_test$" OR parent STREQUAL "registry")
      continue()
    endif()
    if(parent STREQUAL "" OR parent STREQUAL name)
      list(APPEND names ${name})
    endif()
  endforeach()
  list(SORT names)
  string(REPLACE "/" "::" namespace ${path})
  set(declarations "")
  set(rows "")
  foreach(name ${names})
    string(APPEND declarations "extern const ${type} ${name};\n")
    string(APPEND rows "    &entries::${name},\n")
  endforeach()
  string(REPLACE "/" "_" flat ${path})
  set(output ${CMAKE_BINARY_DIR}/generated/${flat}_registry.cpp)
  file(CONFIGURE OUTPUT ${output} CONTENT
"// Written by cmake/folders.cmake from the files of src/${path}.
#include \"${path}/registry.h\"
namespace tailor::${namespace} {
namespace entries {
${declarations}}
static const ${type}* const table[] = {
${rows}    nullptr};
std::span<const ${type}* const> all() { return {table, sizeof(table) / sizeof(table[0]) - 1}; }
}
")
  string(REGEX REPLACE "/.*" "" library ${path})
  target_sources(tailor_${library} PRIVATE ${output})
endfunction()

# tailor_precompile(TARGET OWNER headers...): parsed for OWNER, once; other targets take what it has.
function(tailor_precompile target owner)
  if(NOT TAILOR_PRECOMPILED)
    return()
  endif()
  if(NOT target STREQUAL owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
    return()
  endif()
  list(TRANSFORM ARGN PREPEND ${CMAKE_SOURCE_DIR}/src/ REGEX "^[^<]")
  target_precompile_headers(${target} PRIVATE ${TAILOR_STANDARD_HEADERS} ${ARGN})
endfunction()

# tailor_optimize(TARGET LEVEL): in a release; other builds keep the level of their preset.
function(tailor_optimize target level)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_CXX_FLAGS_RELEASE MATCHES "-O[23]")
    target_compile_options(${target} PRIVATE ${level})
  endif()
endfunction()

function(tailor_folder name)
  cmake_parse_arguments(ARG "HOT" "REGISTRY;HEADERS_OF" "HEADERS;PRIVATE;PUBLIC" ${ARGN})
  set(root ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${root}/*.cpp ${root}/*.S)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  add_library(tailor_${name} STATIC ${sources})
  target_include_directories(tailor_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  set(below "")
  foreach(folder ${TAILOR_FOLDERS})
    list(PREPEND below tailor_${folder})
  endforeach()
  target_link_libraries(tailor_${name} PUBLIC ${below} ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  if(ARG_HOT)
    tailor_optimize(tailor_${name} -O3)
  endif()
  if(ARG_HEADERS_OF)
    tailor_precompile(tailor_${name} tailor_${ARG_HEADERS_OF})
  elseif(ARG_HEADERS)
    tailor_precompile(tailor_${name} tailor_${name} ${ARG_HEADERS})
  endif()
  if(ARG_REGISTRY)
    tailor_registry(${name} ${ARG_REGISTRY})
  endif()
  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE tailor_${name} GTest::gtest GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE TAILOR_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    tailor_optimize(${name}_test -O0)
    tailor_precompile(${name}_test core_test ${TAILOR_TEST_HEADERS})
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES TIMEOUT 900)
  endif()
  set(TAILOR_FOLDERS ${TAILOR_FOLDERS} ${name} CACHE INTERNAL "")
endfunction()
