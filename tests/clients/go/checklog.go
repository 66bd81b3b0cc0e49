// Checks a mirror of a log with the code of Go's own checksum database: checklog LOG_PUB DIR [OLDER_CHECKPOINT]
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

const width = 256

type mirror string

func (m mirror) read(path string) []byte {
	data, err := os.ReadFile(filepath.Join(string(m), path))
	check(err)
	return data
}

func (m mirror) Height() int                         { return 8 }
func (m mirror) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (m mirror) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles { // Go's paths name the height of the tiles, those of C2SP do not
		data = append(data, m.read(strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
	}
	return data, nil
}

func main() {
	key, err := os.ReadFile(os.Args[1])
	check(err)
	dir := mirror(os.Args[2])
	tree := open(string(key), dir.read("checkpoint"))
	hashes := tlog.TileHashReader(tree, dir) // every tile is held against the root of the checkpoint
	for start := int64(0); start < tree.N; start += width {
		bundle := tlog.Tile{H: 8, L: 0, N: start / width, W: int(min(width, tree.N-start))}
		path := strings.Replace(bundle.Path(), "tile/8/0/", "tile/entries/", 1)
		entries := split(path, dir.read(path))
		if len(entries) != bundle.W {
			log.Fatalf("%s has %d entries instead of %d", path, len(entries), bundle.W)
		}
		places := make([]int64, bundle.W)
		for i := range places {
			places[i] = tlog.StoredHashIndex(0, start+int64(i))
		}
		leaves, err := hashes.ReadHashes(places)
		check(err)
		for i, entry := range entries {
			if tlog.RecordHash(entry) != leaves[i] {
				log.Fatalf("entry %d is not the one in the tree", start+int64(i))
			}
		}
		proof, err := tlog.ProveRecord(tree.N, start, hashes) // as a receipt would have it
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, start, tlog.RecordHash(entries[0])))
	}
	if tree.N == 0 && tree.Hash != sha256.Sum256(nil) {
		log.Fatal("the empty tree has another root")
	}
	fmt.Printf("%d entries are in the tree that the log signed\n", tree.N)
	if len(os.Args) > 3 {
		kept, err := os.ReadFile(os.Args[3])
		check(err)
		older := open(string(key), kept)
		if older.N > 0 { // every tree extends the empty one
			proof, err := tlog.ProveTree(tree.N, older.N, hashes)
			check(err)
			check(tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash))
		}
		fmt.Printf("it extends the tree of %d entries\n", older.N)
	}
}

// open returns the tree of a checkpoint that the log's Ed25519 key signed; Go's code passes other lines over.
func open(key string, checkpoint []byte) tlog.Tree {
	for _, line := range strings.Split(key, "\n") {
		verifier, err := note.NewVerifier(line)
		if err != nil {
			continue // a comment, or a key of a kind that Go does not know
		}
		signed, err := note.Open(checkpoint, note.VerifierList(verifier))
		check(err)
		var origin, root string
		var tree tlog.Tree
		_, err = fmt.Sscanf(signed.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root)
		check(err)
		tree.Hash, err = tlog.ParseHash(root)
		check(err)
		if origin != verifier.Name() {
			log.Fatalf("the checkpoint is of the log %s", origin)
		}
		return tree
	}
	log.Fatal("no Ed25519 key in the file")
	return tlog.Tree{}
}

// split takes a bundle apart: each entry stands after its length.
func split(path string, data []byte) (entries [][]byte) {
	for len(data) > 0 {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			log.Fatalf("%s is cut off", path)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries, data = append(entries, data[2:end]), data[end:]
	}
	return entries
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
