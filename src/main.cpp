// The `tailor` program; everything is in src/cli.
#include "cli/command.h"

int main(int argc, char** argv) { return tailor::cli::main(argc, argv); }
