# The libraries, made from treadle_objects: `treadle` (alias treadle::treadle), shared unless BUILD_SHARED_LIBS is off, and then
# `treadle_static` beside it.

# The interface version: users linked with one SOVERSION run with every library that has the same.
set(TREADLE_SOVERSION 0)

# treadle_library(TARGET SHARED|STATIC)
function(treadle_library target type)
    add_library(${target} ${type})
    add_library(treadle::${target} ALIAS ${target})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:treadle_objects>)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME treadle LINKER_LANGUAGE C)
    target_compile_features(${target} INTERFACE c_std_11)
    target_include_directories(${target} INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
    treadle_sanitize(${target})
    if(type STREQUAL "SHARED")
        set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${TREADLE_SOVERSION})
        target_link_libraries(${target} PRIVATE ${TREADLE_DEPENDENCIES})
        if(NOT TRD_SANITIZE AND NOT APPLE)
            target_link_options(${target} PRIVATE -Wl,--no-undefined)
        endif()
    else()
        # OpenMP by the name of its library, so that users need not find an OpenMP of their own compiler.
        set(libraries ${TREADLE_DEPENDENCIES})
        if(TREADLE_HAVE_OPENMP)
            list(REMOVE_ITEM libraries ${OpenMP_C_LIBRARIES})
            foreach(name IN LISTS OpenMP_C_LIB_NAMES)     # here by its path: clang's lies where no linker looks
                list(APPEND libraries "$<BUILD_INTERFACE:${OpenMP_${name}_LIBRARY}>$<INSTALL_INTERFACE:${name}>")
            endforeach()
        endif()
        target_link_libraries(${target} PRIVATE ${libraries})
        target_compile_definitions(${target} INTERFACE TRD_STATIC)
    endif()
endfunction()

if(BUILD_SHARED_LIBS)
    treadle_library(treadle SHARED)
    treadle_library(treadle_static STATIC)
    if(WIN32)
        set_target_properties(treadle_static PROPERTIES OUTPUT_NAME treadle_static)   # treadle.lib is the DLL's
    endif()
    set(TREADLE_LIBRARY_TARGETS treadle treadle_static)
else()
    treadle_library(treadle STATIC)
    add_library(treadle_static ALIAS treadle)
    add_library(treadle::treadle_static ALIAS treadle)
    set(TREADLE_LIBRARY_TARGETS treadle)
endif()
