#!/usr/bin/python3
"""Training beside plain PyTorch: the same model, weights, tokens and order, taking turns on one machine.

    bench/training_peer.py build/tailor text.txt [--steps 6] [--turns 2] [--batch 16] [-c 256] [--json losses.jsonl]

The model is the one built into tailor, a Llama shape, with the random weights that `tailor train --from-scratch` begins with. PyTorch (Debian's
python3-torch, 1.13) trains it in the plainest way: eager, autocast to bf16, weights and AdamW in f32, attention as two products and a
softmax. Both get two threads unless --threads says otherwise. Printed are tokens per second of every turn, their medians and ratio, and both
losses after each step of the first turn. A long run (--steps 1000 --turns 1) compares how both learn.
"""
import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import tempfile
import time

import numpy
import torch
import torch.nn.functional as F


def read_gguf(path):
    """Metadata and f32 tensors of a GGUF file."""
    data = open(path, "rb").read()
    at = 4

    def take(code):
        nonlocal at
        value = struct.unpack_from("<" + code, data, at)[0]
        at += struct.calcsize("<" + code)
        return value

    def text():
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length:at].decode("utf-8", "replace")

    codes = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            element = take("I")
            return [value(element) for _ in range(take("Q"))]
        return take(codes[kind])

    take("I")
    tensors, keys = take("Q"), take("Q")
    metadata = {}
    for _ in range(keys):
        key = text()
        metadata[key] = value(take("I"))
    places = []
    for _ in range(tensors):
        name = text()
        shape = [take("Q") for _ in range(take("I"))][::-1]
        if take("I") != 0:
            raise SystemExit(f"{path}: {name} is not f32")
        places.append((name, shape, take("Q")))
    alignment = metadata.get("general.alignment", 32)
    base = (at + alignment - 1) // alignment * alignment
    weights = {n: torch.from_numpy(numpy.frombuffer(data, numpy.float32, math.prod(s), base + o).reshape(s).copy()) for n, s, o in places}
    return metadata, weights


class Random:
    """The 64-bit Mersenne twister (Nishimura, 2000) that shuffles tailor's windows."""

    def __init__(self, seed):
        self.state, self.next_index = [seed & (2**64 - 1)], 312
        for i in range(1, 312):
            last = self.state[-1]
            self.state.append((6364136223846793005 * (last ^ last >> 62) + i) & (2**64 - 1))

    def next(self):
        s = self.state
        if self.next_index == 312:
            for i in range(312):
                x = s[i] & ~(2**31 - 1) | s[(i + 1) % 312] & 2**31 - 1
                s[i] = s[(i + 156) % 312] ^ x >> 1 ^ (0xB5026F5AA96619E9 if x & 1 else 0)
            self.next_index = 0
        x = s[self.next_index]
        self.next_index += 1
        x ^= x >> 29 & 0x5555555555555555
        x ^= x << 17 & 0x71D67FFFEDA60000
        x ^= x << 37 & 0xFFF7EEE000000000
        return x ^ x >> 43


class Windows:
    """train::TokenWindows: windows of the text in an order shuffled anew for every pass."""

    def __init__(self, tokens, length, first, seed=1):
        self.tokens, self.length, self.first, self.seed = tokens, length, first, seed
        self.count = (len(tokens) - 1) // length
        self.shuffle()

    def shuffle(self):
        self.order, self.at, random = list(range(self.count)), 0, Random(self.seed)
        self.seed += 1
        for i in range(self.count, 1, -1):
            j = random.next() % i
            self.order[i - 1], self.order[j] = self.order[j], self.order[i - 1]

    def batch(self, size):
        rows = []
        for _ in range(size):
            if self.at == self.count:
                self.shuffle()
            begin = self.order[self.at] * self.length
            self.at += 1
            rows.append(self.tokens[begin:begin + self.length + 1])
        rows = numpy.stack(rows)
        ids, targets = rows[:, :-1].copy(), rows[:, 1:].copy()
        ids[:, 0] = self.first
        return torch.from_numpy(ids), torch.from_numpy(targets)


class Llama(torch.nn.Module):
    def __init__(self, metadata, weights):
        super().__init__()
        get = lambda key: metadata["llama." + key]
        self.layers, self.heads, self.kv_heads = get("block_count"), get("attention.head_count"), get("attention.head_count_kv")
        self.head_dim, self.epsilon = get("embedding_length") // self.heads, get("attention.layer_norm_rms_epsilon")
        self.weights = torch.nn.ParameterDict({name.replace(".", "_"): torch.nn.Parameter(w) for name, w in weights.items()})
        self.register_buffer("frequencies", get("rope.freq_base") ** (-torch.arange(0, self.head_dim, 2).float() / self.head_dim))

    def norm(self, x, weight):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * weight

    def attention(self, x, layer):
        batch, length, _ = x.shape
        split = lambda name, heads: F.linear(x, self.weights[layer + name + "_weight"]).view(batch, length, heads, self.head_dim).transpose(1, 2)
        q, k, v = split("attn_q", self.heads), split("attn_k", self.kv_heads), split("attn_v", self.kv_heads)
        angles = torch.outer(torch.arange(length).float(), self.frequencies)
        cosine, sine = angles.cos(), angles.sin()
        turn = lambda t: torch.stack((t[..., 0::2] * cosine - t[..., 1::2] * sine, t[..., 0::2] * sine + t[..., 1::2] * cosine), -1).flatten(-2)
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (turn(k), v))
        mask = torch.full((length, length), float("-inf")).triu(1)
        seen = F.softmax(turn(q) @ k.transpose(-1, -2) * self.head_dim**-0.5 + mask, -1) @ v
        return F.linear(seen.transpose(1, 2).reshape(batch, length, -1), self.weights[layer + "attn_output_weight"])

    def forward(self, ids):
        w = self.weights
        x = F.embedding(ids, w["token_embd_weight"])
        for i in range(self.layers):
            layer = f"blk_{i}_"
            x = x + self.attention(self.norm(x, w[layer + "attn_norm_weight"]), layer)
            h = self.norm(x, w[layer + "ffn_norm_weight"])
            x = x + F.linear(F.silu(F.linear(h, w[layer + "ffn_gate_weight"])) * F.linear(h, w[layer + "ffn_up_weight"]), w[layer + "ffn_down_weight"])
        return F.linear(self.norm(x, w["output_norm_weight"]), w["output_weight"])


def torch_turn(a, metadata, weights, tokens):
    """Yields loss and tokens per second of every step."""
    model = Llama(metadata, {name: weight.clone() for name, weight in weights.items()})
    windows = Windows(tokens, a.context, metadata["tokenizer.ggml.bos_token_id"])
    groups = [{"params": [p for p in model.parameters() if (p.dim() > 1) == matrix], "weight_decay": 0.1 if matrix else 0.0} for matrix in (True, False)]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    warmup = a.steps // 20
    for step in range(1, a.steps + 1):
        done = (step - warmup) / max(1, a.steps - warmup)
        for group in optimizer.param_groups:
            group["lr"] = a.rate * (step / warmup if step <= warmup else 0.1 + 0.45 * (1 + math.cos(math.pi * done)))
        ids, targets = windows.batch(a.batch)
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(ids)
        loss = F.cross_entropy(logits.float().view(-1, logits.shape[-1]), targets.view(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield loss.item(), a.batch * a.context / (time.perf_counter() - start)


def tailor_train(a, steps, *more):
    command = [a.tailor, "train", "-f", a.text, "--from-scratch", "--steps", str(steps), "--batch", str(a.batch), "-c", str(a.context), "-t", str(a.threads), "--every", "1", "--json", *more]
    lines = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()
    return [(row["loss"], row["tokens_per_second"]) for row in map(json.loads, filter(None, lines)) if "loss" in row]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tailor"), parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=6), parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16), parser.add_argument("-c", "--context", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3), parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bf16"), parser.add_argument("--json")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    with tempfile.TemporaryDirectory() as folder:
        initial = os.path.join(folder, "initial.gguf")
        tailor_train(a, 1, "--rate", "1e-30", "--weight-decay", "0", "-o", initial)  # a step that moves nothing writes the weights to begin with
        metadata, weights = read_gguf(initial)
    tokens = subprocess.run([a.tailor, "tokenize", "-f", a.text, "--no-special", "--json"], stdout=subprocess.PIPE, text=True, check=True).stdout
    tokens = numpy.array(json.loads(tokens)["ids"], numpy.int64)
    speeds = {"tailor": [], "torch": []}
    for turn in range(a.turns):
        ours = tailor_train(a, a.steps, "--rate", str(a.rate), "--precision", a.precision)
        theirs = list(torch_turn(a, metadata, weights, tokens))
        for name, rows in (("tailor", ours), ("torch", theirs)):
            speeds[name] += [speed for _, speed in rows[1:]]  # the first step also makes memory ready
            print(f"turn {turn + 1}, {name}: {statistics.median(speed for _, speed in rows[1:]):.0f} tokens/s")
        if turn == 0:
            for step, (our, their) in enumerate(zip(ours, theirs), 1):
                if step <= 10 or step % 100 == 0:
                    print(f"step {step:5}: loss {our[0]:.4f} and {their[0]:.4f}")
                if a.json:
                    with open(a.json, "a") as log:
                        print(json.dumps({"step": step, "tailor": our[0], "torch": their[0]}), file=log)
    ours, theirs = statistics.median(speeds["tailor"]), statistics.median(speeds["torch"])
    print(f"tailor {ours:.0f} tokens/s, PyTorch {torch.__version__} {theirs:.0f} tokens/s: {ours / theirs:.2f} times")


main()
