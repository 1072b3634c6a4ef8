"""What must not get out through reports."""

from skeleton_of_thought.evaluation.report.writing import _cell


def test_a_cell_of_the_report_has_no_markup():
    assert _cell("<script>a()</script> | b\nc") == "&lt;script&gt;a()&lt;/script&gt; \\| b c"
