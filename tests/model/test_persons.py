import numpy as np

from model import dataset, persons


def test_beats_of_one_shape_are_more_alike_than_those_of_two(generated: dataset.Records) -> None:
    alike = persons.likeness(generated)
    kind = generated.normal
    same = (kind[:, None] == kind) & ~np.eye(len(kind), dtype=bool)
    assert np.allclose(np.diag(alike), 1, atol=1e-4)
    assert alike[same].min() > alike[kind[:, None] != kind].max()
    assert persons.shares(alike, np.eye(len(kind), dtype=bool)) == [f"{len(kind)} of {len(kind)}"] * len(persons.ALIKE)
