// `swxlake monitor serve` answers this with where it can be asked for rows; a folder or a bucket cannot be asked.
window.swxlakeApi = "";
