#!/usr/bin/env python3
"""GPTQ as one writes it with PyTorch (arXiv 2210.17323, algorithm 1), on one matrix: what bench_cuda's rows are compared
with.

  bench/torch_gptq.py [--rows 4096] [--cols 4096] [--tokens 2048] [--bits 4] [--group 128] [--block 128] [--device cuda]

Float inputs whose neighbours go together, as in bench_cuda; min-max grids of the weights as they came; the factor by
Cholesky, inverse, Cholesky. Prints one line of JSON: seconds of the statistics and of the solve, factorisation included
(the fastest of three after one that warms up), and the relative error tr((Q-W) H (Q-W)') / tr(W H W').
"""
import argparse, json, time

import torch


def grids(W, group, bits):
    """Scale and zero of every group of columns: [rows, groups] each."""
    rows, cols = W.shape
    parts = W.reshape(rows, cols // group, group)
    low, high = parts.amin(2).clamp(max=0), parts.amax(2).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).half().float()
    return scale, torch.round(-low / scale)


def solve(W, H, group, bits, block, damping=0.01):
    """The values that the weights are rounded to."""
    rows, cols = W.shape
    top = 2**bits - 1
    scale, zero = grids(W, group, bits)
    W, H = W.clone(), H.clone()
    H.diagonal().add_(damping * H.diagonal().mean())
    U = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(H)), upper=True)
    Q = torch.empty_like(W)
    for first in range(0, cols, block):
        last = min(first + block, cols)
        E = torch.empty(rows, last - first, device=W.device)
        for j in range(first, last):
            s, z = scale[:, j // group], zero[:, j // group]
            Q[:, j] = s * (torch.clamp(torch.round(W[:, j] / s) + z, 0, top) - z)
            E[:, j - first] = (W[:, j] - Q[:, j]) / U[j, j]
            W[:, j:last] -= E[:, j - first, None] * U[None, j, j:last]
        W[:, last:] -= E @ U[first:last, last:]
    return Q


def fastest(work, device, runs=4):
    """Seconds of the fastest run but the first, and what it gave."""
    best = float("inf")
    for run in range(runs):
        start = time.monotonic()
        result = work()
        if device == "cuda":
            torch.cuda.synchronize()
        if run > 0:
            best = min(best, time.monotonic() - start)
    return best, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 4096), ("cols", 4096), ("tokens", 2048), ("bits", 4), ("group", 128), ("block", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    if arguments.cols % arguments.group != 0:
        parser.error(f"--cols {arguments.cols} is not a multiple of --group {arguments.group}")
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    device = arguments.device
    X = torch.rand(arguments.tokens, arguments.cols, device=device) - 0.5
    for j in range(1, arguments.cols):
        X[:, j] += 0.8 * X[:, j - 1]
    W = torch.rand(arguments.rows, arguments.cols, device=device) - 0.5
    statistics, H = fastest(lambda: X.T @ X, device)
    seconds, Q = fastest(lambda: solve(W, H, arguments.group, arguments.bits, arguments.block), device)
    error = lambda D: float(torch.sum((D @ H) * D))
    print(json.dumps({"torch": torch.__version__, "device": device, **vars(arguments), "statistics_seconds": statistics,
                      "solve_seconds": seconds, "relative_error": error(Q - W) / error(W)}))


if __name__ == "__main__":
    main()
