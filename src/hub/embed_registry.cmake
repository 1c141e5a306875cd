# cmake -DINPUT=registry.json -DOUTPUT=builtin_registry.cpp -P embed_registry.cmake
file(READ ${INPUT} json)
if(json MATCHES "\\)registry\"")
  message(FATAL_ERROR "${INPUT} contains the end mark of the C++ literal that it is put into")
endif()
file(WRITE ${OUTPUT} "// Made from models/registry.json by embed_registry.cmake.
#include \"hub/builtin_registry.h\"

namespace headrace {

const std::string_view kBuiltinRegistryJson = R\"registry(${json})registry\";

}  // namespace headrace
")
