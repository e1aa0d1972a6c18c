# halftone_target(TARGET): the project's own warnings and sanitizers, on this target alone.
# -Wno-restrict: g++ 12 sees an overlap in "text" + std::string that is none (gcc bug 105651).
function(halftone_target target)
  set(warnings -Wall -Wextra -Wpedantic $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local> $<$<CXX_COMPILER_ID:Clang>:-Wshadow> -Wconversion -Wno-sign-conversion
    -Wnon-virtual-dtor -Woverloaded-virtual $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<BOOL:${HALFTONE_WERROR}>:-Werror>)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C,CXX>:${warnings}>")
  if(HALFTONE_SANITIZE)
    set(sanitize -fsanitize=${HALFTONE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_compile_options(${target} PUBLIC "$<$<COMPILE_LANGUAGE:C,CXX>:${sanitize}>")
    target_link_options(${target} PUBLIC -fsanitize=${HALFTONE_SANITIZE})
  endif()
endfunction()
