/* The small English model that is built into the program, so that every command works before anything is downloaded.
   models/README.md says what it is. The path is relative to the include path that CMake passes to the assembler. */
#if defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
    .section .rodata
    .balign 64
    .global tailor_default_model_begin
    .global tailor_default_model_end
tailor_default_model_begin:
    .incbin "models/victorian-8m-f16.gguf"
tailor_default_model_end:
    .byte 0
