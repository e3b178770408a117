# Finds what the library uses and says what was found. Each TRD_WITH_<NAME> is AUTO (use it if it is there), ON (it must be
# there) or OFF. Sets, for the other files of the build:
#   TREADLE_DEPENDENCIES        targets that the library links
#   TREADLE_DEFINITIONS         TRDI_HAVE_OPENMP, TRDI_HAVE_HWLOC: defined to 1 where the feature is in
#   TREADLE_HAVE_<NAME>         TRUE or FALSE
#   TREADLE_STATIC_LIBS, TREADLE_STATIC_REQUIRES   what a user of the static library links: -l names, pkg-config modules
#   TREADLE_SUMMARY             lines of the summary

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

set(TREADLE_DEPENDENCIES Threads::Threads)
set(TREADLE_DEFINITIONS)
set(TREADLE_STATIC_LIBS m)
set(TREADLE_STATIC_REQUIRES)
set(TREADLE_SUMMARY)
if(CMAKE_THREAD_LIBS_INIT)
    string(REGEX REPLACE "^-l" "" treadle_thread_lib "${CMAKE_THREAD_LIBS_INIT}")
    list(APPEND TREADLE_STATIC_LIBS ${treadle_thread_lib})
endif()
if(NOT WIN32)
    list(APPEND TREADLE_DEPENDENCIES m)
endif()
list(APPEND TREADLE_DEPENDENCIES ${CMAKE_DL_LIBS})      # modules are loaded at run time
list(APPEND TREADLE_STATIC_LIBS ${CMAKE_DL_LIBS})

# treadle_feature(NAME "what it is for"): declares TRD_WITH_<NAME> and refuses other values.
macro(treadle_feature name purpose)
    set(TRD_WITH_${name} AUTO CACHE STRING "${purpose}: AUTO, ON or OFF")
    set_property(CACHE TRD_WITH_${name} PROPERTY STRINGS AUTO ON OFF)
    if(NOT TRD_WITH_${name} MATCHES "^(AUTO|ON|OFF|TRUE|FALSE|1|0|YES|NO)$")
        message(FATAL_ERROR "TRD_WITH_${name} is \"${TRD_WITH_${name}}\"; it must be AUTO, ON or OFF")
    endif()
    set(TREADLE_HAVE_${name} FALSE)
    if(TRD_WITH_${name} STREQUAL "AUTO")
        set(treadle_wanted AUTO)
    elseif(TRD_WITH_${name})
        set(treadle_wanted ON)
    else()
        set(treadle_wanted OFF)
    endif()
endmacro()

# treadle_feature_done(NAME FOUND "detail" "what to install"): takes the decision and notes it.
macro(treadle_feature_done name found detail install)
    if(treadle_wanted STREQUAL "OFF")
        list(APPEND TREADLE_SUMMARY "${name}: off (TRD_WITH_${name}=OFF)")
    elseif(${found})
        set(TREADLE_HAVE_${name} TRUE)
        list(APPEND TREADLE_DEFINITIONS TRDI_HAVE_${name}=1)
        list(APPEND TREADLE_SUMMARY "${name}: ${detail}")
    elseif(treadle_wanted STREQUAL "ON")
        message(FATAL_ERROR "TRD_WITH_${name}=ON, but it was not found: ${install}")
    else()
        list(APPEND TREADLE_SUMMARY "${name}: not found (${install})")
    endif()
endmacro()

# JSON of model directories: always needed.
pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson>=2.7)
if(NOT JANSSON_FOUND)
    message(FATAL_ERROR "jansson >= 2.7 was not found: install libjansson-dev")
endif()
list(APPEND TREADLE_DEPENDENCIES PkgConfig::JANSSON)
list(APPEND TREADLE_STATIC_REQUIRES jansson)
list(APPEND TREADLE_SUMMARY "jansson: ${JANSSON_VERSION}")

treadle_feature(OPENMP "Threads inside an operation")
if(NOT treadle_wanted STREQUAL "OFF")
    find_package(OpenMP QUIET COMPONENTS C)
endif()
set(treadle_openmp_lib "")
if(OpenMP_C_LIB_NAMES)
    list(GET OpenMP_C_LIB_NAMES 0 treadle_openmp_lib)
endif()
treadle_feature_done(OPENMP OpenMP_C_FOUND "${OpenMP_C_VERSION} (${treadle_openmp_lib})" "install libgomp or libomp-dev")
if(TREADLE_HAVE_OPENMP)
    list(APPEND TREADLE_DEPENDENCIES ${OpenMP_C_LIBRARIES})     # the compiler's flag goes to the one file that needs it
    list(APPEND TREADLE_STATIC_LIBS ${OpenMP_C_LIB_NAMES})
endif()

treadle_feature(HWLOC "Topology and thread placement")
if(NOT treadle_wanted STREQUAL "OFF")
    pkg_check_modules(HWLOC QUIET IMPORTED_TARGET hwloc>=2.0)
endif()
treadle_feature_done(HWLOC HWLOC_FOUND "${HWLOC_VERSION}" "install libhwloc-dev")
if(TREADLE_HAVE_HWLOC)
    list(APPEND TREADLE_DEPENDENCIES PkgConfig::HWLOC)
    list(APPEND TREADLE_STATIC_REQUIRES hwloc)
endif()

# The header is enough: its functions are inlined.
treadle_feature(XXHASH "Cache files of prepared weights")
if(NOT treadle_wanted STREQUAL "OFF")
    find_path(XXHASH_INCLUDE_DIR xxhash.h)
endif()
treadle_feature_done(XXHASH XXHASH_INCLUDE_DIR "${XXHASH_INCLUDE_DIR}/xxhash.h" "install libxxhash-dev")

# The OpenCL back end needs the headers alone: its module looks for the ICD loader when it runs.
treadle_feature(OPENCL "OpenCL back end")
if(NOT treadle_wanted STREQUAL "OFF")
    find_path(OPENCL_HEADERS_DIR CL/cl.h)
endif()
if(OPENCL_HEADERS_DIR AND NOT WIN32)
    set(treadle_opencl_found TRUE)
else()
    set(treadle_opencl_found FALSE)
endif()
treadle_feature_done(OPENCL treadle_opencl_found "${OPENCL_HEADERS_DIR}/CL/cl.h" "install opencl-headers")

# A back end that this version does not have: AUTO and OFF leave it out, ON is refused, so that nobody is misled.
treadle_feature(CUDA "CUDA back end")
if(treadle_wanted STREQUAL "ON")
    message(FATAL_ERROR "TRD_WITH_CUDA=ON: the CUDA back end is not in this version; use AUTO or OFF")
endif()
list(APPEND TREADLE_SUMMARY "CUDA: not in this version")

list(REMOVE_DUPLICATES TREADLE_STATIC_LIBS)
