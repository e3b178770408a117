# Compile settings that every target of the project shares. Targets only; nothing global.

# treadle_private_target(TARGET): the language, the warnings and the include path of our own code.
function(treadle_private_target target)
    target_compile_features(${target} PUBLIC c_std_17)
    set_target_properties(${target} PROPERTIES
        C_EXTENSIONS OFF
        C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
    target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L TRD_BUILDING)
    if(WIN32)
        target_compile_definitions(${target} PRIVATE __USE_MINGW_ANSI_STDIO=1)
    endif()
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
        -ffp-contract=off -fno-math-errno)
    if(TRD_WARNINGS_AS_ERRORS)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    target_include_directories(${target}
        PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
        PRIVATE "${PROJECT_SOURCE_DIR}/lib" "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${target} PUBLIC Threads::Threads)
    treadle_sanitize(${target})
endfunction()

# treadle_sanitize(TARGET): instrument a target as TRD_SANITIZE asks; whoever links it gets the run-time library too.
function(treadle_sanitize target)
    if(TRD_SANITIZE)
        target_compile_options(${target} PRIVATE
            -fsanitize=${TRD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        target_link_options(${target} PUBLIC -fsanitize=${TRD_SANITIZE})
    endif()
endfunction()
