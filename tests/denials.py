"""Invented sentences of reports, each with its denial, or with why it has none; written by hand."""

from __future__ import annotations

DENIALS = """
The right pleural effusion has resolved. | The right pleural effusion has not resolved.
Pulmonary edema has improved. | Pulmonary edema has not improved.
Bilateral opacities have worsened. | Bilateral opacities have not worsened.
The heart has increased in size. | The heart has not increased in size.
Lung volumes have decreased. | Lung volumes have not decreased.
Right lower lobe consolidation has cleared. | Right lower lobe consolidation has not cleared.
Small effusions have developed. | Small effusions have not developed.
The patient has emphysema. | The patient does not have emphysema.
The tube has been removed. | The tube has not been removed.
The effusion had resolved. | The effusion had not resolved.
The patient had pneumonia. | The patient did not have pneumonia.
A small effusion has developed. | No small effusion has developed.
The effusion has completely resolved. | The effusion has not completely resolved.
The patient has developed a pneumothorax. | The patient has not developed a pneumothorax.
The pneumothorax has become larger. | The pneumothorax has not become larger.
The nodule has grown. | The nodule has not grown.
The mass has shrunk. | The mass has not shrunk.
The tube has not been removed. | The tube has been removed.
The effusion has not resolved. | The effusion has resolved.
The effusion has not yet resolved. | The effusion has resolved.
Pulmonary edema has not improved. | Pulmonary edema has improved.
The effusions have not changed. | The effusions have changed.
The effusion hasn't resolved. | The effusion has resolved.
The heart isn't enlarged. | The heart is enlarged.
There isn't an effusion. | There is an effusion.
The lungs don't show consolidation. | The lungs show consolidation.
The lungs are clear. | The lungs are not clear.
The lungs are clear of consolidation. | The lungs are not clear of consolidation.
No effusion can be seen. | Effusion can be seen.
No change. | Change.
No significant interval change. | Significant interval change.
There is no change in the effusion. | There is change in the effusion.
No increase in the effusion. | Increase in the effusion.
The lungs do not show any consolidation. | The lungs show consolidation.
There is not any effusion. | There is effusion.
There are no effusions. | There are effusions.
There is no effusion or pneumothorax. | There is effusion or pneumothorax.
There are small effusions. | There are no small effusions.
There is a small effusion. | There is no small effusion.
The heart looks normal. | The heart does not look normal.
The heart seems enlarged. | The heart does not seem enlarged.
Heart size grossly normal. | Heart size not grossly normal.
Heart size normal. | Heart size not normal.
Effusion seen. | Effusion not seen.
Effusion is seen. | No effusion is seen.
Effusions are seen. | No effusions are seen.
The effusions were drained. | The effusions were not drained.
The tube was removed. | The tube was not removed.
There is no residual effusion. | There is residual effusion.
Not enlarged. | Enlarged.
Not seen. | Seen.
The effusion has been seen. | The effusion has not been seen.
The heart remains enlarged. | The heart does not remain enlarged.
The lines remain in place. | The lines do not remain in place.
The patient has no pneumothorax. | The patient has pneumothorax.
The patient does not have emphysema. | The patient has emphysema.
The line ends in the right atrium. | The line does not end in the right atrium.
The effusion is larger. | The effusion is not larger.
The effusion is unchanged. | The effusion is not unchanged.
The catheter has been repositioned. | The catheter has not been repositioned.
Sternotomy wires are intact. | Sternotomy wires are not intact.
Sternal wires have fractured. | Sternal wires have not fractured.
Hilar contours have been stable. | Hilar contours have not been stable.
The opacity has progressed to consolidation. | The opacity has not progressed to consolidation.
The opacity has progressed. | The opacity has not progressed.
The lungs have a clear appearance. | The lungs do not have a clear appearance.
The heart has a normal size. | The heart does not have a normal size.
The trachea has normal caliber. | The trachea does not have normal caliber.
The mediastinum has widened. | The mediastinum has not widened.
The mediastinum has a widened contour. | The mediastinum does not have a widened contour.
The right hemidiaphragm has risen. | The right hemidiaphragm has not risen.
Small right effusion. | No small right effusion.
No small right effusion. | Small right effusion.
Cardiomegaly has developed. | Cardiomegaly has not developed.
No consolidation has developed. | Consolidation has developed.
No pneumothorax has been seen. | Pneumothorax has been seen.
The heart is not significantly enlarged. | The heart is significantly enlarged.
The effusion is not entirely resolved. | The effusion is entirely resolved.
The lung bases have not been included. | The lung bases have been included.
Mediastinal shift is not present. | Mediastinal shift is present.
No evidence of pneumonia. | Evidence of pneumonia.
Not all ribs are intact. | All ribs are intact.
There has been no change. | There has been change.
There have been no new opacities. | There have been new opacities.
A few nodules are seen. | No nodules are seen.
There are a few nodules. | There are no nodules.
The effusion is not larger. | The effusion is larger.
The tip of the tube lies above the carina. | The tip of the tube does not lie above the carina.
The heart has become larger. | The heart has not become larger.
The heart has not become larger. | The heart has become larger.
The fracture has healed. | The fracture has not healed.
The fractures have not healed. | The fractures have healed.
Right lower lobe opacity has been described. | Right lower lobe opacity has not been described.
The atelectasis has slightly increased. | The atelectasis has not slightly increased.
The lung has re-expanded. | The lung has not re-expanded.
The pneumothorax has re-accumulated. | The pneumothorax has not re-accumulated.
The line has migrated into the right atrium. | The line has not migrated into the right atrium.
The patient has a pacemaker. | The patient does not have a pacemaker.
The lungs have no consolidation. | The lungs have consolidation.
No pleural effusion has accumulated. | Pleural effusion has accumulated.
"""
"""A sentence and its denial in good English, parted by a bar."""
REFUSALS = """
The effusion has now resolved. | wording
The effusion has since resolved. | several
The effusion has nearly resolved. | wording
The effusion has partially resolved. | wording
The patient has increased markings. | wording
The lungs have increased markings. | wording
The patient has undergone surgery. | wording
The effusion is no longer seen. | no longer
There is no longer an effusion. | no longer
Effusion is not seen any longer. | wording
The lungs are free of consolidation. | free of
The lungs are not without scars. | more than once
Pneumothorax cannot be excluded. | more than once
Pneumothorax is not excluded. | more than once
No effusion is not seen. | more than once
There may be an effusion. | open
The tube may not be in position. | open
Possible effusion. | open
There is likely no effusion. | open
Neither effusion nor pneumothorax. | neither
Neither lung is clear. | neither
Nor is there an effusion. | nor
Not only is the heart enlarged. | wording
The heart is not only enlarged. | wording
Again seen is a small effusion. | wording
In the left base is a nodule. | wording
Seen in the left lung is a mass. | wording
The lung does show consolidation. | wording
The lung continues to show consolidation. | wording
The effusion is still present. | wording
The lungs are nearly clear. | wording
The lungs are otherwise clear. | several
The lungs lack consolidation. | lack
The chest is negative. | negative
The tube has to be advanced. | wording
The effusion resolved. | wording
The effusion did not resolve. | wording
Interval resolution of the effusion. | wording
Resolved effusion. | wording
There is no doubt about the mass. | no doubt
No more than three nodules are seen. | no more
Few nodules are seen. | several
Cardiomegaly and effusion are present. | several
A nodule and a scar were noted. | several
The heart appeared normal. | wording
Nothing is seen. | nothing
Absence of effusion. | absence
Without effusion. | without
The effusion has increased, now large. | several
The ends of the ribs are normal. | several
The patient has had surgery. | several
The effusion has shown improvement. | wording
The heart was never enlarged. | never
The heart is not enlarged either. | wording
Effusion has resolved but edema persists. | several
The tubes have all been removed. | several
The effusion will resolve. | wording
There has been interval resolution of the effusion. | wording
There has been improvement. | wording
There have been changes. | wording
Little effusion is seen. | several
The patient has had no surgery. | several
The lungs fail to show consolidation. | wording
Pneumonia is ruled out. | ruled out
Negative for pneumonia. | negative for
"""
"""A sentence that no word more or less denies, and a word of the reason."""


def rows(table: str) -> list[tuple[str, str]]:
    """Return the pairs of a table."""
    return [tuple(line.split(" | ")) for line in table.strip().splitlines()]  # type: ignore[misc]
