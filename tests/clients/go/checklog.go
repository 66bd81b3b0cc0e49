// Checks a mirror of a log with the code of Go's own checksum database:
// checklog LOG_PUB DIR [OLDER_CHECKPOINT [OLDER_LOG_PUB …]]
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type mirror string

func (m mirror) Height() int                         { return 8 }
func (m mirror) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (m mirror) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles { // Go's paths name the height of the tiles, those of C2SP do not
		data = append(data, read(string(m), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
	}
	return data, nil
}

func main() {
	key, dir := string(read(os.Args[1])), os.Args[2]
	tree := open(read(dir, "checkpoint"), key)
	hashes := tlog.TileHashReader(tree, mirror(dir)) // holds every tile against the root of the checkpoint
	if tree.N == 0 && tree.Hash != sha256.Sum256(nil) {
		log.Fatal("the empty tree has another root")
	}
	for next := int64(0); next < tree.N; {
		bundle := tlog.Tile{H: 8, L: 0, N: next / 256, W: 256}
		if tree.N-next < 256 {
			bundle.W = int(tree.N - next)
		}
		path := strings.Replace(bundle.Path(), "tile/8/0/", "tile/entries/", 1)
		entries := split(read(dir, path))
		if len(entries) != bundle.W {
			log.Fatalf("%s has %d entries instead of %d", path, len(entries), bundle.W)
		}
		leaves, err := tlog.ReadTileData(bundle, hashes)
		check(err)
		proof, err := tlog.ProveRecord(tree.N, next, hashes) // one of each bundle, as its receipt has it
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, next, tlog.RecordHash(entries[0])))
		for i, entry := range entries {
			if hash := tlog.RecordHash(entry); string(hash[:]) != string(leaves[i*tlog.HashSize:][:tlog.HashSize]) {
				log.Fatalf("entry %d is not the one in the tree", next)
			}
			next++
		}
	}
	fmt.Printf("%d entries are in the tree that the log signed\n", tree.N)
	if len(os.Args) > 3 {
		keys := []string{key}
		for _, file := range os.Args[4:] { // a log that was given another key signed with these before
			keys = append(keys, string(read(file)))
		}
		older := open(read(os.Args[3]), keys...)
		if older.N > 0 { // every tree extends the empty one
			proof, err := tlog.ProveTree(tree.N, older.N, hashes)
			check(err)
			check(tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash))
		}
		fmt.Printf("it extends the tree of %d entries\n", older.N)
	}
}

// open returns the tree of a checkpoint that one of the log's Ed25519 keys signed; Go passes over lines of others.
func open(checkpoint []byte, keys ...string) (tree tlog.Tree) {
	var known []note.Verifier
	for _, line := range strings.Split(strings.Join(keys, "\n"), "\n") {
		if verifier, err := note.NewVerifier(line); err == nil { // else a comment, or of a kind that Go does not know
			known = append(known, verifier)
		}
	}
	signed, err := note.Open(checkpoint, note.VerifierList(known...))
	if _, unsigned := err.(*note.UnverifiedNoteError); unsigned {
		log.Fatal("none of these keys signed the checkpoint: was the log given another key?")
	}
	check(err)
	var origin, root string
	_, err = fmt.Sscanf(signed.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root)
	check(err)
	tree.Hash, err = tlog.ParseHash(root)
	check(err)
	if origin != signed.Sigs[0].Name {
		log.Fatalf("the checkpoint is of the log %s", origin)
	}
	return tree
}

// split takes a bundle apart: each entry stands after its length.
func split(data []byte) (entries [][]byte) {
	for len(data) >= 2 && len(data)-2 >= int(binary.BigEndian.Uint16(data)) {
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries, data = append(entries, data[2:end]), data[end:]
	}
	if len(data) > 0 {
		log.Fatal("a bundle is cut off")
	}
	return entries
}

func read(path ...string) []byte {
	data, err := os.ReadFile(filepath.Join(path...))
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
