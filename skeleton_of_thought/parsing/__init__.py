"""How a list is read out of free text, one idea per file, in the order of the work.

thoughts     what no reader of any text is meant to see: thoughts, wrappers, control tokens, the next turn
code         whether a text that comes in pieces is in a block of code
source       what of the text is the answer, as plain lines without HTML
json_list    the answer is JSON; json_reader reads it, slips and missing end included
lines        the answer as lines, each with its indentation, frame, marker and body
markers      how the start of a line marks a point: `1.`, `Step 2:`, `一、`; numerals is what the tokens count
families     the lists there are: lines whose markers belong together
top_level    which of these lists is the skeleton; runs is where one list ends and another starts
bare         a list without any marker; talk is how lines speak about the skeleton
one_line     points that stand on one line
titles       a clean title and a description out of the text of a point
"""
