"""How a list is read out of free text, one step per file.

source     what of the text is the answer: no thoughts, control tokens, HTML
json_list  the answer is JSON, possibly broken or cut off
numerals   what number a token stands for: `iv`, `④`, `十二`, `c`
markers    how the start of a line marks a point: `1.`, `Step 2:`, `一、`, `- `
lines      the answer as lines, each with its indentation, marker and body
top_level  which of the lists in the text is the skeleton
one_line   points that stand on one line
titles     a clean title and a description out of the text of a point
"""
