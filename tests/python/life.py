"""Programs for test_life.py: life.py NAME. Each begins work that would take very long and then interrupts it, exits, or forks."""

import atexit
import gc
import os
import signal
import sys
import threading
import time

late = []
atexit.register(lambda: [check() for check in late])     # before the package's own, so it runs after it

import treadle

PHONEMES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "g2p-en")
WORD = list("weaving")
# Ten million tokens, unless they are stopped. The model has positions for 512.
ENDLESS = dict(beam_size=1, end_token=[], max_decoding_length=500)
MANY = [WORD] * 20000


def make(max_queued_batches=-1):
    return treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1, max_queued_batches=max_queued_batches)


# ---- Ctrl-C

def interrupted(translator, work):
    """Send SIGINT while the work is under way; then everything must work on, and nothing of it be left."""
    def send():
        while translator.num_active_batches == 0:
            time.sleep(0.001)
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        work()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("it was not interrupted")
    thread.join()
    while translator.num_active_batches:
        time.sleep(0.001)
    assert translator.translate_batch([WORD])[0].hypotheses[0]
    assert translator.translate_batch([WORD], asynchronous=True)[0].result().hypotheses[0]


def interrupt_translate_batch():
    translator = make()
    interrupted(translator, lambda: translator.translate_batch(MANY, **ENDLESS))


def interrupt_score_batch():
    translator = make()
    interrupted(translator, lambda: translator.score_batch([WORD * 70] * 2000, [["T"] * 490] * 2000))


def interrupt_callback():
    translator = make()
    interrupted(translator, lambda: translator.translate_batch(MANY, callback=lambda step: False, **ENDLESS))


def interrupt_result():
    translator = make()
    pending = translator.translate_batch(MANY, asynchronous=True, **ENDLESS)
    interrupted(translator, pending[0].result)
    assert all(p.done() for p in pending)


def interrupt_submission():
    translator = make(max_queued_batches=1)
    interrupted(translator, lambda: translator.translate_batch(MANY, asynchronous=True, max_batch_size=1, **ENDLESS))


def interrupt_iterable():
    translator = make()
    interrupted(translator, lambda: list(translator.translate_iterable(MANY, max_batch_size=100, **ENDLESS)))


def interrupt_stream():
    translator = make()
    others = translator.translate_batch(MANY, asynchronous=True, **ENDLESS)     # so that the stream never ends by itself
    stream = translator.generate_tokens(WORD, end_token=[], max_decoding_length=500)

    def work():
        try:
            for _ in stream:
                pass
        finally:
            for other in others:
                other.cancel()
    interrupted(translator, work)


def interrupt_file():
    translator = make()
    with open(sys.argv[2] + "/source", "w") as file:
        file.write(" ".join(WORD) + "\n")
        file.write((" ".join(WORD) + "\n") * 100000)
    for options in ({}, dict(source_tokenize_fn=str.split, target_detokenize_fn=" ".join)):
        interrupted(translator, lambda: translator.translate_file(sys.argv[2] + "/source", sys.argv[2] + "/output", max_batch_size=200,
                                                                  **ENDLESS, **options))
        assert os.listdir(sys.argv[2]) == ["source"]


def interrupt_is_handled():
    """A handler of the program's own that does not raise interrupts nothing."""
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    translator = make()
    expected = translator.translate_batch([WORD])[0].hypotheses
    pending = translator.translate_batch([WORD] * 300, asynchronous=True)
    os.kill(os.getpid(), signal.SIGINT)
    assert [p.result().hypotheses for p in pending] == [expected] * 300 and seen == [signal.SIGINT]


# ---- exit while work is under way

def exit_with_results():
    global kept, translator
    translator = make()
    kept = translator.translate_batch(MANY, asynchronous=True, **ENDLESS)


def exit_with_nothing_held():
    global translator
    translator = make()
    translator.translate_batch(MANY, asynchronous=True, **ENDLESS)
    gc.collect()


def exit_in_function():
    """The translator goes before its results, and the interpreter after them."""
    translator = make()
    kept = translator.translate_batch(MANY, asynchronous=True, **ENDLESS)
    sys.exit(0 if not kept[0].done() else 1)


def exit_after_deletion():
    translator = make()
    kept = translator.translate_batch(MANY, asynchronous=True, callback=lambda step: False, **ENDLESS)
    del translator
    gc.collect()
    assert not kept[0].done()


def exit_with_callback():
    global kept, translator
    translator = make()
    kept = translator.translate_batch(MANY, asynchronous=True, callback=lambda step: False, **ENDLESS)
    time.sleep(0.05)


def exit_in_callback_of_a_cycle():
    """The translator is garbage in a cycle; collected whenever, even on the library's thread."""
    for _ in range(3):
        cycle = [make()]
        cycle.append(cycle)
        cycle[0].translate_batch([WORD] * 50, asynchronous=True, beam_size=1, callback=lambda step: gc.collect() < 0)
        del cycle


def exit_with_stream():
    global stream, translator
    translator = make()
    stream = translator.generate_tokens(WORD, end_token=[], max_decoding_length=500)
    next(stream)


def exit_with_iterable():
    global results, translator
    translator = make()
    results = translator.translate_iterable(MANY, max_batch_size=200, callback=lambda step: step.batch_id == 0, **ENDLESS)
    next(results)


def exit_with_daemon_thread():
    global translator
    translator = make()
    threading.Thread(target=lambda: translator.translate_batch(MANY, **ENDLESS), daemon=True).start()
    while translator.num_active_batches == 0:
        time.sleep(0.001)


def exit_with_daemon_thread_and_callback():
    global translator
    translator = make()
    threading.Thread(target=lambda: translator.translate_batch(MANY, callback=lambda step: False, **ENDLESS), daemon=True).start()
    while translator.num_active_batches == 0:
        time.sleep(0.001)


def exit_with_daemon_thread_and_file():
    global translator
    translator = make()
    with open(sys.argv[2] + "/source", "w") as file:
        file.write((" ".join(WORD) + "\n") * 100000)
    threading.Thread(target=lambda: translator.translate_file(sys.argv[2] + "/source", sys.argv[2] + "/output", max_batch_size=200, **ENDLESS),
                     daemon=True).start()
    while translator.num_active_batches == 0:
        time.sleep(0.001)


def exit_with_submission():
    """A daemon thread is waiting for room."""
    global translator
    translator = make(max_queued_batches=1)
    threading.Thread(target=lambda: translator.translate_batch(MANY, asynchronous=True, **ENDLESS), daemon=True).start()
    while translator.num_active_batches == 0:
        time.sleep(0.001)


def exit_by_exception():
    exit_with_callback()
    sys.stderr = open(os.devnull, "w")
    raise RuntimeError("mine")


def exit_from_callback():
    """os._exit on the library's thread."""
    translator = make()
    translator.translate_batch(MANY, callback=lambda step: os._exit(0), **ENDLESS)


def exit_with_sleeping_callback():
    """A callback that does not come back for long is not waited for for long."""
    global kept, translator
    translator = make()
    inside = threading.Event()

    def callback(step):
        inside.set()
        time.sleep(3600)
    kept = translator.translate_batch([WORD], asynchronous=True, callback=callback, **ENDLESS)
    inside.wait()


def exit_closes_the_gate():
    """No callback comes after the package's own exit, even if work goes on."""
    global kept, translator
    translator, steps = make(), []
    treadle._ends._cancellers.clear()
    kept = translator.translate_batch(MANY, asynchronous=True, callback=steps.append, **ENDLESS)
    while not steps:
        time.sleep(0.001)

    def check():
        count = len(steps)
        time.sleep(0.2)
        os._exit(0 if len(steps) == count else 3)
    late.append(check)


def exit_with_user_atexit():
    """What a program does at its exit may still use the library."""
    global kept, translator
    translator = make()
    kept = translator.translate_batch([WORD] * 20, asynchronous=True, **dict(ENDLESS, max_decoding_length=50))
    atexit.register(lambda: [p.result() for p in kept])


# ---- fork

def in_child(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def fork_idle():
    translator = make()
    expected = translator.translate_batch([WORD])[0].hypotheses

    def work():
        for _ in range(2):
            assert translator.translate_batch([WORD])[0].hypotheses == expected
            assert translator.translate_batch([WORD], asynchronous=True)[0].result().hypotheses == expected
            assert [s.token for s in translator.generate_tokens(WORD)][:-1] == translator.translate_batch([WORD], beam_size=1)[0].hypotheses[0]
        in_child(lambda: translator.translate_batch([WORD]))
    in_child(work)
    in_child(work)
    assert translator.translate_batch([WORD])[0].hypotheses == expected


def fork_busy():
    """The parent's work goes on in the parent alone; the child has its own."""
    translator = make()
    expected = translator.translate_batch([WORD])[0].hypotheses
    steps = []
    pending = translator.translate_batch(MANY, asynchronous=True, callback=lambda step: steps.append(step), **ENDLESS)
    while not steps:
        time.sleep(0.001)

    def work():
        try:
            pending[0].result()
        except RuntimeError as error:
            assert "fork" in str(error) or "parent" in str(error), error
        else:
            raise AssertionError("a result of the parent")
        count = len(steps)
        assert translator.translate_batch([WORD])[0].hypotheses == expected
        assert [s.token for s in translator.generate_tokens(WORD)]
        own = make()
        assert own.translate_batch([WORD])[0].hypotheses == expected
        assert len(steps) == count
    in_child(work)
    in_child(work)
    assert not pending[0].done() and translator.model_is_loaded
    for p in pending:
        p.cancel()
    assert translator.translate_batch([WORD])[0].hypotheses == expected


def pool_worker(word):
    return shared.translate_batch([list(word)])[0].hypotheses[0]


def fork_pool():
    import multiprocessing
    global shared
    shared = make()
    words = ["weaving", "loom", "weft"] * 10
    expected = [r.hypotheses[0] for r in shared.translate_batch([list(w) for w in words])]
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(pool_worker, words) == expected
    assert pool_worker("loom") == expected[1]


def fork_and_exit():
    """The child ends as a Python program ends, with the parent's objects and work of its own."""
    translator = make()
    kept = translator.translate_batch(MANY, asynchronous=True, callback=lambda step: False, **ENDLESS)
    pid = os.fork()
    if pid == 0:
        global own
        own = translator.translate_batch(MANY, asynchronous=True, callback=lambda step: False, **ENDLESS)
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert not kept[0].done()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
