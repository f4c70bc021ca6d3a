#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: fuzz/corpus/<container>/{valid,bad}-*, a few hundred bytes each.

The seeds are made from the layouts alone, so that they also stand as independent examples of them. The names matter: tests
(GgufMalformed.SeedsOfTheFuzzer and its like) expect every valid-* to open and every bad-* to be refused.
"""
import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
SCALARS = {0: ("<B", 200), 1: ("<b", -2), 2: ("<H", 60000), 3: ("<h", -2), 4: ("<I", 7), 5: ("<i", -7), 6: ("<f", 0.5),
           7: ("<B", 1), 10: ("<Q", 2**40), 11: ("<q", -2**40), 12: ("<d", 0.25)}
STRING, ARRAY = 8, 9
F32, F16, Q4_0, Q8_0, Q4_K, I32 = 0, 1, 2, 8, 12, 26


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def key(name, kind, raw):
    return text(name) + struct.pack("<I", kind) + raw


def array(kind, count, raw):
    return struct.pack("<IQ", kind, count) + raw


def tensor(name, dimensions, kind, offset):
    return text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)


def header(tensors, keys, version=3, magic=b"GGUF"):
    return magic + struct.pack("<IQQ", version, tensors, keys)


def with_data(head, count, alignment=32):
    head += bytes(-len(head) % alignment)
    return head + bytes(i % 251 for i in range(count))


def scalar(kind):
    return struct.pack(*SCALARS[kind])


def gguf_seeds():
    llama = (key("general.architecture", STRING, text("llama")) + key("llama.block_count", 4, struct.pack("<I", 1)) +
             key("tokenizer.ggml.tokens", ARRAY, array(STRING, 3, text("<s>") + text("</s>") + text("▁a"))) +
             key("tokenizer.ggml.scores", ARRAY, array(6, 3, struct.pack("<3f", 0, -1, -2))))
    yield "valid-empty", header(0, 0)
    yield "valid-version-2", header(0, 1, version=2) + key("a", 4, scalar(4))
    yield "valid-scalars", header(0, len(SCALARS)) + b"".join(key(f"k{kind}", kind, scalar(kind)) for kind in SCALARS)
    yield "valid-arrays", header(0, len(SCALARS)) + b"".join(key(f"k{kind}", ARRAY, array(kind, 2, 2 * scalar(kind))) for kind in SCALARS)
    yield "valid-llama", with_data(header(2, 4) + llama + tensor("token_embd.weight", [32, 2], F32, 0) + tensor("n", [4], F32, 256), 288)
    yield "valid-quantized", with_data(header(3, 0) + tensor("a", [32, 2], Q8_0, 0) + tensor("b", [64], Q4_0, 96) +
                                       tensor("c", [256], Q4_K, 160), 320)
    yield "valid-small-types", with_data(header(3, 0) + tensor("h", [3], F16, 0) + tensor("i", [2, 1, 1, 2], I32, 32) +
                                         tensor("scalar", [], F32, 64), 96)
    yield "valid-alignment-8", with_data(header(2, 1) + key("general.alignment", 4, struct.pack("<I", 8)) + tensor("a", [1], F32, 0) +
                                         tensor("b", [2], F32, 8), 16, 8)
    yield "valid-alignment-1", with_data(header(2, 1) + key("general.alignment", 4, struct.pack("<I", 1)) + tensor("a", [1], F32, 0) +
                                         tensor("b", [2], F32, 5), 13, 1)
    yield "valid-unknown-type", with_data(header(1, 0) + tensor("a", [32], 99, 0), 32)
    yield "bad-nothing", b""
    yield "bad-magic", header(0, 0, magic=b"GGML")
    yield "bad-big-endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "bad-tensor-count", header(2**63, 0)
    yield "bad-key-count", header(0, 2**40) + key("a", 4, scalar(4))
    yield "bad-key-length", header(0, 1) + struct.pack("<Q", 2**64 - 1) + b"abcdefgh"
    yield "bad-duplicate-key", header(0, 2) + 2 * key("a", 4, scalar(4))
    yield "bad-boolean", header(0, 1) + key("a", 7, b"\x02")
    yield "bad-nested-array", header(0, 1) + key("a", ARRAY, array(ARRAY, 1, array(4, 1, scalar(4))))
    yield "bad-array-count", header(0, 1) + key("a", ARRAY, array(12, 2**61, scalar(12)))
    yield "bad-alignment", with_data(header(1, 1) + key("general.alignment", 4, struct.pack("<I", 24)) + tensor("a", [1], F32, 0), 32)
    yield "bad-rank", with_data(header(1, 0) + tensor("a", [1] * 5, F32, 0), 32)
    yield "bad-dimensions", with_data(header(1, 0) + tensor("a", [2**32, 2**32], F32, 0), 32)
    yield "bad-zero", with_data(header(1, 0) + tensor("a", [4, 0], F32, 0), 32)
    yield "bad-offset", with_data(header(1, 0) + tensor("a", [4], F32, 2**64 - 32), 32)
    yield "bad-unknown-type-without-data", header(1, 0) + tensor("a", [32], 99, 0)
    yield "bad-overlap", with_data(header(2, 0) + tensor("a", [16], F32, 0) + tensor("b", [8], F32, 32), 64)
    yield "bad-truncated", with_data(header(1, 0) + tensor("a", [16], F32, 0), 63)


def safetensors_file(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def member(kind, shape, begin, end):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def safetensors_seeds():
    pair = {"a": member("F32", [2, 3], 0, 24), "b": member("BF16", [4], 24, 32)}
    kinds = [("F64", 8), ("I64", 8), ("F32", 4), ("I32", 4), ("F16", 2), ("I16", 2), ("I8", 1), ("U8", 1), ("BOOL", 1), ("F8_E4M3", 1), ("F8_E5M2", 1)]
    every, at = {}, 0
    for kind, size in kinds:
        every[kind] = member(kind, [2], at, at + 2 * size)
        at += 2 * size
    typed = json.dumps({"general.architecture": ["string", "llama"], "a.reals": ["f32", [0.5, "nan", "-inf"]], "a.wide": ["i64", str(2**62)],
                        "a.bytes": ["string", [{"hexadecimal": "ff00"}]], "a.flag": ["boolean", True]})
    yield "valid-empty", safetensors_file({})
    yield "valid-pair", safetensors_file({"__metadata__": {"format": "pt"}, **pair}, bytes(range(32)))
    yield "valid-padded", safetensors_file(json.dumps(pair).encode() + b"   \n", bytes(32))
    yield "valid-every-type", safetensors_file(every, bytes(at))
    yield "valid-unknown-types", safetensors_file({"n": member("F12", [7], 0, 3), "e": member("F8_E8M0", [2], 3, 5), "f": member("F4", [4], 5, 7)}, bytes(7))
    yield "valid-scalar-and-empty", safetensors_file({"s": member("F32", [], 0, 4), "e": member("F32", [0, 5], 4, 4)}, bytes(4))
    yield "valid-escapes", safetensors_file(b'{"\\u00e9\\ud83d\\ude00\\n\\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x")
    yield "valid-typed-metadata", safetensors_file({"__metadata__": {"tailor.metadata": typed}})
    yield "valid-odd-address", safetensors_file({"a": member("U8", [1], 0, 1), "b": member("F32", [2], 1, 9)}, bytes(9))
    yield "bad-nothing", b""
    yield "bad-length", struct.pack("<Q", 2**63) + b"{}"
    yield "bad-short-header", struct.pack("<Q", 50) + b"{}"
    yield "bad-not-an-object", safetensors_file(b"[]")
    yield "bad-not-utf-8", safetensors_file(b'{"\xff":1}')
    yield "bad-nested", safetensors_file(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}")
    yield "bad-twice", safetensors_file(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x")
    yield "bad-overlap", safetensors_file({"a": member("U8", [4], 0, 4), "b": member("U8", [4], 2, 6)}, bytes(6))
    yield "bad-gap", safetensors_file({"a": member("U8", [1], 0, 1), "b": member("U8", [1], 2, 3)}, bytes(3))
    yield "bad-size", safetensors_file({"a": member("F32", [3], 0, 8)}, bytes(8))
    yield "bad-truncated", safetensors_file({"a": member("F32", [2], 0, 8)}, bytes(7))
    yield "bad-tail", safetensors_file({"a": member("F32", [2], 0, 8)}, bytes(9))
    yield "bad-product", safetensors_file({"a": member("F32", [2**32, 2**32], 0, 8)}, bytes(8))
    yield "bad-backwards", safetensors_file({"a": member("F32", [2], 8, 0)}, bytes(8))
    yield "bad-typed-metadata", safetensors_file({"__metadata__": {"tailor.metadata": '{"a":["u8",256]}'}})


if __name__ == "__main__":
    for container, seeds in (("gguf", gguf_seeds), ("safetensors", safetensors_seeds)):
        (CORPUS / container).mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (CORPUS / container / name).write_bytes(data)
