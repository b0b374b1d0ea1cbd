"""What `longtail data pack` made, see `longtail.data.packed_set`."""

from longtail.data.packed_set import is_packed, read_packed
from longtail.data.source_form import SourceForm
from longtail.runs import layout

FORM = SourceForm(
    f"what `longtail data pack` made of one of these: --data PATH with {layout.PACKED}",
    lambda place: read_packed(place.given),
    reads=is_packed,
    rank=1,
)
