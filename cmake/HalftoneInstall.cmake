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
