# SPDX-License-Identifier: Apache-2.0
# page.sed - the lines of a file as the lines of a C string
s/[\\"]/\\&/g
s/.*/"&\\n"/
