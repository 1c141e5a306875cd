# HEADRACE_PLANT=<name> builds with the bug of tests/verify/planted/<name>.patch, in a copy of src/: production
# sources have no switches for bugs (docs/exactness.md, "The proof of the proof"). Sets HEADRACE_SRC, the tree
# that is built.
set(HEADRACE_PLANT "" CACHE STRING "Bug of tests/verify/planted to build with, to see that headrace verify finds it")

set(HEADRACE_SRC ${CMAKE_SOURCE_DIR}/src)
if(HEADRACE_PLANT STREQUAL "")
  return()
endif()

set(planted_patch ${CMAKE_SOURCE_DIR}/tests/verify/planted/${HEADRACE_PLANT}.patch)
if(NOT HEADRACE_PLANT MATCHES "^[a-z0-9-]+$" OR NOT EXISTS ${planted_patch})
  file(GLOB planted_names RELATIVE ${CMAKE_SOURCE_DIR}/tests/verify/planted ${CMAKE_SOURCE_DIR}/tests/verify/planted/*.patch)
  list(TRANSFORM planted_names REPLACE "\\.patch$" "")
  list(JOIN planted_names ", " planted_names)
  message(FATAL_ERROR "HEADRACE_PLANT: there is no bug named '${HEADRACE_PLANT}'; expected one of: ${planted_names}")
endif()
find_program(PATCH_PROGRAM patch REQUIRED)

# The patch is applied to a fresh copy. Of that only files that differ reach the tree that is built, so that the
# step from one bug to the next compiles what the two patches touch and no more.
set(fresh ${CMAKE_BINARY_DIR}/planted/fresh)
set(built ${CMAKE_BINARY_DIR}/planted/src)
file(REMOVE_RECURSE ${fresh})
file(COPY ${CMAKE_SOURCE_DIR}/src DESTINATION ${fresh})
execute_process(
  COMMAND ${PATCH_PROGRAM} --strip=1 --fuzz=0 --batch --no-backup-if-mismatch --directory=${fresh} --input=${planted_patch}
  OUTPUT_VARIABLE planted_output ERROR_VARIABLE planted_output RESULT_VARIABLE planted_result)
if(NOT planted_result EQUAL 0)
  message(FATAL_ERROR "HEADRACE_PLANT: ${planted_patch} does not apply to src/:\n${planted_output}")
endif()
file(GLOB_RECURSE planted_files RELATIVE ${fresh}/src ${fresh}/src/*)
foreach(file ${planted_files})
  get_filename_component(folder ${built}/${file} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  file(COPY_FILE ${fresh}/src/${file} ${built}/${file} ONLY_IF_DIFFERENT)
endforeach()
file(REMOVE_RECURSE ${fresh})
file(GLOB_RECURSE stale_files RELATIVE ${built} ${built}/*)
list(REMOVE_ITEM stale_files ${planted_files})
foreach(file ${stale_files})
  file(REMOVE ${built}/${file})
endforeach()
set(HEADRACE_SRC ${built})
# A source that changes later must reach the copy, too.
file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${planted_patch} ${sources})
message(WARNING "THIS BUILD HAS A BUG, PLANTED ON PURPOSE: ${HEADRACE_PLANT}. Use it for nothing but tests of tests.")
