"""What a command says while it works."""

from timnet import config
from timnet.cli import progress
from timnet.training.grids import Progress

ONE, TWO = (config.Finetune(cohort="demo", task="Opacity", seed=seed) for seed in (1, 2))


def test_a_grids_log_has_a_line_where_something_changed_and_now_and_then_besides(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = progress.ProgressLine("")

    def tell(at: float, asked: config.Finetune, epoch: int, left: float, done: int = 0) -> str:
        now[0] = 100 + at
        line.grid(Progress(done, 8, asked, {"event": "step", "epoch": epoch, "epochs": 5}, left))
        return capsys.readouterr().err

    assert tell(0, ONE, 1, 60) == "0 of 8 runs done; base, 100.0%, seed 1: epoch 1 of 5, 60 s left\n"
    assert tell(1, ONE, 1, 59) == ""
    # Another run at work beside it, the next epoch, one more done: each is news.
    assert "seed 2: epoch 1" in tell(2, TWO, 1, 58)
    assert tell(3, ONE, 1, 57) == tell(3, TWO, 1, 57) == ""
    assert "seed 1: epoch 2 of 5, 56 s left" in tell(4, ONE, 2, 56)
    assert "1 of 8 runs done" in tell(5, ONE, 2, 55, done=1)
    # Nothing is news for a while: the time left alone has changed.
    assert tell(9, ONE, 2, 51, done=1) == ""
    assert "49 s left" in tell(10.5, ONE, 2, 49, done=1)
