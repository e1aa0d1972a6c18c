# Install rules, the CMake package `halftone` and the pkg-config file.
include(CMakePackageConfigHelpers)
set(HALFTONE_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/halftone")

install(DIRECTORY include/halftone DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(TARGETS halftone_headers halftone EXPORT halftone-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(TARGET halftone_cli)
  install(TARGETS halftone_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(EXPORT halftone-targets NAMESPACE halftone:: DESTINATION "${HALFTONE_CMAKE_DIR}")
configure_package_config_file(cmake/halftone-config.cmake.in halftone-config.cmake INSTALL_DESTINATION "${HALFTONE_CMAKE_DIR}")
write_basic_package_version_file(halftone-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/halftone-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/halftone-config-version.cmake"
  DESTINATION "${HALFTONE_CMAKE_DIR}")

# The library is static, so its pkg-config file names what it was linked with.
set(HALFTONE_PC_REQUIRES " sentencepiece libpcre2-8 libxxhash")
if(ICU_FOUND)
  string(APPEND HALFTONE_PC_REQUIRES " icu-uc")
endif()
set(HALFTONE_PC_LIBS "")
if(HALFTONE_HAS_ONEDNN)
  set(HALFTONE_PC_LIBS " ${HALFTONE_DNNL_LIBRARY}")
endif()
set(HALFTONE_PC_OPENMP "")
if(HALFTONE_OPENMP)
  set(HALFTONE_PC_OPENMP "${OpenMP_CXX_FLAGS}")
endif()
# ${pcfiledir} in it makes the installed tree movable; its depth is that of the library folder.
file(RELATIVE_PATH HALFTONE_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/halftone.pc.in halftone.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/halftone.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
