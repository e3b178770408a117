# treadle-probe: asks drivers for their devices before the library does, so that one that crashes does no harm. It lies beside the library
# in the build, and in its subfolder treadle/ when installed.
add_executable(treadle_probe lib/device/treadle_probe.c)
treadle_private_target(treadle_probe)
target_link_libraries(treadle_probe PRIVATE treadle::treadle_static PkgConfig::JANSSON ${CMAKE_DL_LIBS})
set_target_properties(treadle_probe PROPERTIES OUTPUT_NAME treadle-probe RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
if(NOT APPLE AND NOT WIN32)
    target_link_options(treadle_probe PRIVATE -Wl,--as-needed -Wl,--gc-sections)
endif()
