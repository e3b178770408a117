# Installs the libraries, the modules, the headers, the CMake package and the pkg-config file. The command installs itself.
include(CMakePackageConfigHelpers)

set(treadle_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/treadle")

# Two export sets: users of the shared library need no dependency of ours to be installed.
foreach(target IN LISTS TREADLE_LIBRARY_TARGETS)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "STATIC_LIBRARY")
        set(export treadleStaticTargets)
    else()
        set(export treadleSharedTargets)
    endif()
    install(TARGETS ${target} EXPORT ${export}
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
    install(EXPORT ${export} NAMESPACE treadle:: DESTINATION "${treadle_config_dir}")
endforeach()
# Back ends that are modules, and what looks for devices on their behalf: in a folder of their own beside the library, where it looks.
if(TREADLE_MODULE_TARGETS)
    install(TARGETS ${TREADLE_MODULE_TARGETS}
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/treadle"
        RUNTIME DESTINATION "${CMAKE_INSTALL_LIBDIR}/treadle")
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/treadle" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/treadleConfig.cmake.in" "${PROJECT_BINARY_DIR}/treadleConfig.cmake"
    INSTALL_DESTINATION "${treadle_config_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/treadleConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/treadleConfig.cmake" "${PROJECT_BINARY_DIR}/treadleConfigVersion.cmake"
    DESTINATION "${treadle_config_dir}")

# treadle.pc: relocatable where the directories are below the prefix; else absolute.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(TREADLE_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH treadle_pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" treadle_pc_up "${treadle_pc_up}")
    set(TREADLE_PC_PREFIX "\${pcfiledir}/${treadle_pc_up}")
endif()
foreach(kind LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
        set(TREADLE_PC_${kind} "${CMAKE_INSTALL_${kind}}")
    else()
        set(TREADLE_PC_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
    endif()
endforeach()
list(JOIN TREADLE_STATIC_REQUIRES ", " TREADLE_PC_REQUIRES)
list(TRANSFORM TREADLE_STATIC_LIBS PREPEND "-l" OUTPUT_VARIABLE treadle_pc_libs)
list(JOIN treadle_pc_libs " " TREADLE_PC_LIBS)
# Without a shared library every user links what the static one needs: nothing is private then.
if(BUILD_SHARED_LIBS)
    string(CONCAT TREADLE_PC_TAIL "Requires.private: ${TREADLE_PC_REQUIRES}\nLibs: -L\${libdir} -ltreadle\n"
        "Libs.private: ${TREADLE_PC_LIBS}\nCflags: -I\${includedir}\nCflags.private: -DTRD_STATIC")
else()
    string(CONCAT TREADLE_PC_TAIL "Requires: ${TREADLE_PC_REQUIRES}\n"
        "Libs: -L\${libdir} -ltreadle ${TREADLE_PC_LIBS}\nCflags: -I\${includedir} -DTRD_STATIC")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/treadle.pc.in" "${PROJECT_BINARY_DIR}/treadle.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/treadle.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
