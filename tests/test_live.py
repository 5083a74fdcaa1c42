"""What a log of the app may hold."""

import pytest

from tests.live import check_log

ASGI = "INFO: ready\nERROR:    Exception in ASGI application\nTraceback (most recent call last):\n"
STREAM = ASGI + '  File "gradio/routes.py", line 1902, in sse_stream\n'
FORGOTTEN = (
    STREAM
    + "    del blocks._queue.pending_messages_per_session[session_hash]\n"
    + "        ~~~~^^^^\nKeyError: 'ox6eh8v'\n"
)
CHAINED = "The above exception was the direct cause of the following exception:\n\nTraceback (most recent)\n"
REFUSED = (
    STREAM
    + "    raise HTTPException(\nfastapi.exceptions.HTTPException: 404: Not Found\n\n"
    + CHAINED
    + "RuntimeError: Caught handled exception, but response already started.\n"
)
OURS = 'Traceback (most recent call last):\n  File "lwgan/page/editor.py"\nTypeError: no\n'


@pytest.mark.parametrize("log", ["", "fine\n", FORGOTTEN, REFUSED, FORGOTTEN + REFUSED + "fine\n"])
def test_a_page_that_was_left_may_end_its_stream(log):
    check_log(log)


@pytest.mark.parametrize(
    "log",
    [OURS, FORGOTTEN + OURS, OURS + REFUSED, STREAM + "    process_msg(m)\nTypeError: not serializable\n",
     ASGI + '  File "x.py", in file\nRuntimeError: Caught handled exception, but response already started.\n',
     STREAM + "TypeError: no\n" + REFUSED],
)  # fmt: skip
def test_every_other_traceback_is_found(log):
    with pytest.raises(AssertionError, match="Traceback"):
        check_log(log)
