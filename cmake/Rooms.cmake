# One target per folder of src/ ("room"). A room's headers are reached only through its own include
# folder, which holds one link: <build>/rooms/<room>/<room> -> src/<room>. A target therefore sees the
# headers of the rooms it depends on and no others, and an upward #include fails the build.

add_library(headrace_flags INTERFACE)
target_compile_options(headrace_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Wcast-qual -Woverloaded-virtual -Werror
  # Each compiler reports these inside the headers of g++ 12 and nowhere else here.
  "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-restrict;-Wno-free-nonheap-object;-Wno-stringop-overflow>"
  "$<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>"
  # Numbers (docs/numerics.md): no contraction of a*b+c behind our back, no fast math.
  -ffp-contract=off -fno-math-errno)
if(HEADRACE_SANITIZE)
  target_compile_options(headrace_flags INTERFACE
    -fsanitize=${HEADRACE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(headrace_flags INTERFACE -fsanitize=${HEADRACE_SANITIZE})
  target_compile_definitions(headrace_flags INTERFACE HEADRACE_SANITIZED)
endif()

# headrace_room(NAME SOURCES ... DEPENDS rooms... LIBRARIES public-libs... PRIVATE_LIBRARIES libs...)
function(headrace_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;DEPENDS;LIBRARIES;PRIVATE_LIBRARIES" ${ARGN})
  set(include_dir ${CMAKE_BINARY_DIR}/rooms/${name})
  file(MAKE_DIRECTORY ${include_dir})
  file(CREATE_LINK ${HEADRACE_SRC}/${name} ${include_dir}/${name} SYMBOLIC)
  add_library(headrace_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(headrace_${name} PUBLIC ${include_dir})
  foreach(room ${ROOM_DEPENDS})
    target_link_libraries(headrace_${name} PUBLIC headrace_${room})
  endforeach()
  target_link_libraries(headrace_${name} PUBLIC ${ROOM_LIBRARIES} PRIVATE headrace_flags ${ROOM_PRIVATE_LIBRARIES})
endfunction()

# headrace_test(NAME SOURCES ... DEPENDS rooms... LIBRARIES libs... LABELS labels...)
# One test program; every TEST in it becomes a CTest case named NAME.Suite.Test.
function(headrace_test name)
  if(NOT HEADRACE_TESTS)
    return()
  endif()
  cmake_parse_arguments(TEST "" "" "SOURCES;DEPENDS;LIBRARIES;LABELS" ${ARGN})
  if(NOT TEST_LABELS)
    set(TEST_LABELS fast)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  foreach(room ${TEST_DEPENDS})
    target_link_libraries(${name} PRIVATE headrace_${room})
  endforeach()
  target_link_libraries(${name} PRIVATE headrace_flags ${TEST_LIBRARIES} GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT 600 SKIP_RETURN_CODE 77)
endfunction()
