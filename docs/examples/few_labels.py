"""From an import to a label-efficiency curve on simulated X-rays: `python few_labels.py`, some minutes."""

import sys

from timnet import Finetune, Grid, Pretrain, config, curve, finetune, pretrain
from timnet.cohorts.readers import demo

# More epochs and pixels pre-train better; these show the way in minutes.
side, epochs = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (96, 5)

demo.run(config.DEMO, "demo")
learned = pretrain(Pretrain(cohorts=("demo",), side=side, epochs=epochs, evaluate_every=0))
print(learned.table)

probe = Finetune(cohort="demo", task="abnormal", side=side, mode="probe", initialisation=str(learned.folder))
for fraction in (0.05, 0.2, 1.0):
    one = finetune(Finetune(**{**vars(probe), "fraction": fraction}))
    print(fraction, one.table.set_index("metric").loc["auROC", "value"])

grid = Grid(probe, ("base", str(learned.folder)), (0.05, 0.2, 1.0), seeds=3)
table = curve(grid)
print(table[table["metric"] == "auROC"].to_string(index=False))
