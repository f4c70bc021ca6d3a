# Short names for the commands people type. CMake and Ninja do the work; a second run builds only what changed.
#   make demo    fit the embedded model into 4 MB and show the result     make test    build and run all tests
#   make fuzz    ten minutes of fuzzing each reader                   make asan    tests under address and undefined
#   make clean   remove everything that was built                         make tsan    tests under the thread sanitizer
.PHONY: demo test fuzz asan tsan clean setup
.DEFAULT_GOAL := test

FUZZ_SECONDS ?= 600

setup:
	@scripts/setup.sh

# Configuring again when the build folder exists is Ninja's business: it does so when a CMake file changed.
build/%/build.ninja: | setup
	cmake --preset $*

demo: build/release/build.ninja
	cmake --build --preset release --target tailor
	@$(MAKE) --no-print-directory out/demo.txt
	@cat out/demo.txt

# Fitted anew only when the program has changed.
out/demo.txt: build/release/tailor
	@mkdir -p out
	build/release/tailor fit --size 4MB --search-seconds 30 -o out/fitted.gguf --report out/report.html > out/demo.part
	@mv out/demo.part $@

test: build/release/build.ninja
	cmake --build --preset release
	ctest --preset release

asan: build/asan/build.ninja
	cmake --build --preset asan
	ctest --preset asan

tsan: build/tsan/build.ninja
	cmake --build --preset tsan
	ctest --preset tsan

# One container after the other. New inputs go to build/fuzz/corpus; what crashes stays in build/fuzz with its input as crash-*.
fuzz: build/fuzz/build.ninja
	cmake --build --preset fuzz
	for name in gguf safetensors tokenizer template grammar; do mkdir -p build/fuzz/corpus/$$name && \
	    build/fuzz/fuzz/$${name}_fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/ build/fuzz/corpus/$$name fuzz/corpus/$$name || exit 1; done

clean:
	rm -rf build out
