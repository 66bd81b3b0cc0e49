# Searches every file that can be read for the mark.
echo "$$"; env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\0' '\n'
grep -rIls --exclude-dir=usr --exclude-dir=lib --exclude-dir=site-packages --exclude-dir=sys "MARK-OF-" / 2>/dev/null | while read -r file; do
  case "$file" in */block-*.sh | /proc/*) ;; *) echo "BREACH $file"; cat "$file" ;; esac
done
find / -path /usr -prune -o -name 'gateway-state' -print 2>/dev/null | sed 's/^/BREACH /'
echo contained
