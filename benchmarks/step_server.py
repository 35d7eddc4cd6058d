"""What tensorflow_step.py and torch_step.py share: their flags, and the answers that peers.py asks for.

It needs Python alone, as the interpreter that has torch may have nothing else.
"""

import argparse
import sys
import time


def make_parser(description):
    """Make a parser with the flags of both programs."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base_filters", type=int, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--adversarial", action="store_true")
    parser.add_argument("--bfloat16", action="store_true")
    return parser


def serve(step, batch_size, matrix_speed=None):
    """Run the first step, print "ready", and answer each line of standard input.

    Args:
        step: function that trains on a batch and returns a scalar; `float` of it waits for the step.
        batch_size: images a step.
        matrix_speed: function that answers the line "matmul". A number runs so many steps; the answer is the images a
            second.
    """
    float(step())
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "matmul":
            print(matrix_speed(), flush=True)
            continue
        started = time.perf_counter()
        for _ in range(int(line)):
            result = step()
        float(result)
        print(int(line) * batch_size / (time.perf_counter() - started), flush=True)
