# The Rust crates and the Go package against this build of the library, by their own tests. Skipped where the toolchain
# is missing. Not with sanitizers, whose runtime a program of these languages does not bring.
function(halftone_binding_test language)
  add_test(NAME "capi: ${language}"
    COMMAND "${PROJECT_SOURCE_DIR}/capi/${language}/test" "$<TARGET_FILE_DIR:halftone_c>"
      "${PROJECT_SOURCE_DIR}/capi/include" "${CMAKE_CURRENT_BINARY_DIR}/${language}" "$<TARGET_FILE:capi_same_bytes>")
  set_tests_properties("capi: ${language}" PROPERTIES LABELS capi SKIP_RETURN_CODE 77 TIMEOUT 600)
endfunction()

if(NOT HALFTONE_SANITIZE)
  halftone_binding_test(rust)
  halftone_binding_test(go)
endif()
