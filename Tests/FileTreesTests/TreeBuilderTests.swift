import Archives
import FileTrees
import HostFiles
import ImageFixtures
import Testing

@Suite struct TreeBuilderTests {
    /// Lays tars over one another; content is not kept.
    private func tree(_ layers: [TarBytes], limits: TreeLimits = TreeLimits()) throws(FileTreeError) -> FileTree {
        let builder = TreeBuilder(limits: limits)
        for layer in layers {
            try builder.add(
                ByteReader(MemoryByteSource(layer.finished())), content: .discarded, hasWhiteouts: true)
        }
        return builder.tree
    }

    private func layer(_ build: (inout TarBytes) -> Void) -> TarBytes {
        var tar = TarBytes()
        build(&tar)
        return tar
    }

    /// Every path of a tree, folders with a slash.
    private func paths(_ tree: FileTree) -> [String] {
        func below(_ node: FileTree.NodeID, _ prefix: String) -> [String] {
            tree.sortedEntries(node).flatMap { name, child in
                let path = prefix + String(decoding: name.bytes, as: UTF8.self)
                return tree[child].isFolder ? [path + "/"] + below(child, path + "/") : [path]
            }
        }
        return below(tree.root, "")
    }

    private func message(_ layers: [TarBytes]) -> String? {
        do throws(FileTreeError) {
            _ = try tree(layers)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("slashes, dots and missing folders in paths lead where unpacking would lead")
    func paths() throws {
        let result = try tree([
            layer {
                $0.addFolder("./")
                $0.add("/absolute")
                $0.add("./a//b/./c")
                $0.addFolder("a/")
            }
        ])
        #expect(paths(result) == ["a/", "a/b/", "a/b/c", "absolute"])
    }

    @Test(
        "paths that lead out, or that no kernel takes, are refused",
        arguments: ["../x", "a/../../x", "a/..", "..", String(repeating: "n", count: 256)])
    func refusedPaths(path: String) {
        var tar = TarBytes()
        tar.addPax([("path", Array(path.utf8))])
        tar.add("x")
        #expect(message([tar]) != nil)
        var long = TarBytes()
        long.addPax([("path", Array(String(repeating: "abc/", count: 1100).utf8))])
        long.add("x")
        #expect(message([long])?.contains("4095") == true)
    }

    @Test("control characters of an archive's names never reach the terminal")
    func controlCharacters() {
        var tar = TarBytes()
        tar.addPax([("path", Array("\u{1b}[31m/../x\n".utf8))])
        tar.add("x")
        let text = message([tar]) ?? ""
        #expect(text.contains("\\x1b"))
        #expect(text.unicodeScalars.allSatisfy { $0.value >= 32 })
    }

    @Test("whiteouts hide what lies below their layer and nothing of their own")
    func whiteouts() throws {
        let lower = layer {
            $0.add("a/x")
            $0.add("a/y")
            $0.add("b/x")
            $0.add("c")
            $0.add("d/deep/x")
        }
        let upper = layer {
            $0.add("a/z")
            $0.add("a/.wh.x")
            $0.add("b/new")
            $0.add("b/.wh..wh..opq")
            $0.add(".wh.c")
            $0.add("d/deep/own")
            $0.add(".wh.d")
            $0.add("missing/.wh.x")
            $0.add(".wh..wh.plnk")
        }
        #expect(
            paths(try tree([lower, upper])) == ["a/", "a/y", "a/z", "b/", "b/new", "d/", "d/deep/", "d/deep/own"])
        // Whatever comes first, the whiteout or what its layer puts there.
        let early = layer {
            $0.add(".wh.c")
            $0.add("c")
        }
        let late = layer {
            $0.add("c")
            $0.add(".wh.c")
        }
        #expect(paths(try tree([lower, early])).contains("c"))
        #expect(paths(try tree([lower, late])).contains("c"))
    }

    @Test("in an ordinary tar, names that look like whiteouts are names")
    func noWhiteouts() throws {
        let builder = TreeBuilder()
        var tar = TarBytes()
        tar.add(".wh.a")
        try builder.add(ByteReader(MemoryByteSource(tar.finished())), content: .discarded, hasWhiteouts: false)
        #expect(paths(builder.tree) == [".wh.a"])
    }

    @Test("a later entry replaces an earlier one; a folder over a folder keeps what is in it")
    func replacing() throws {
        let result = try tree([
            layer {
                $0.add("a/x")
                $0.add("file")
                $0.add("folder/x")
            },
            layer {
                $0.addFolder("a")
                $0.addFolder("file")
                $0.add("folder")
            },
        ])
        #expect(paths(result) == ["a/", "a/x", "file/", "folder"])
    }

    @Test("links on the way to an entry are followed inside the tree only")
    func linkedParents() throws {
        let result = try tree([
            layer {
                $0.addFolder("usr/lib")
                $0.addLink("lib", to: "usr/lib")
                $0.addLink("up", to: "../../../usr")
                $0.addLink("root", to: "/")
                $0.add("lib/a")
                $0.add("up/lib/b")
                $0.add("root/c")
            }
        ])
        #expect(paths(result) == ["c", "lib", "root", "up", "usr/", "usr/lib/", "usr/lib/a", "usr/lib/b"])
        let circle = layer {
            $0.addLink("a", to: "b")
            $0.addLink("b", to: "a")
            $0.add("a/x")
        }
        #expect(message([circle])?.contains("circle") == true)
        let growing = layer {
            $0.addLink("a", to: "a/a/a/a")
            $0.add("a/x")
        }
        #expect(message([growing]) != nil)
        let file = layer {
            $0.add("a")
            $0.add("a/x")
        }
        #expect(message([file])?.contains("not a folder") == true)
    }

    @Test("hard links are one file with several names, also across layers")
    func hardLinks() throws {
        let lower = layer { $0.add("a", [1, 2]) }
        let upper = layer {
            $0.addLink("b", to: "./a", isHard: true)
            $0.add(".wh.a")
        }
        let result = try tree([lower, upper])
        #expect(paths(result) == ["b"])
        #expect(message([layer { $0.addLink("b", to: "missing", isHard: true) }])?.contains("not there") == true)
        #expect(message([layer { $0.addLink("b", to: "b", isHard: true) }])?.contains("not there") == true)
        #expect(message([layer { $0.addLink("b", to: "../etc/passwd", isHard: true) }]) != nil)
        let folder = layer {
            $0.addFolder("d")
            $0.addLink("b", to: "d", isHard: true)
        }
        #expect(message([folder])?.contains("a folder") == true)
    }

    @Test("links to nothing or to too much, and impossible devices, are refused")
    func refusedEntries() {
        #expect(message([layer { $0.addLink("l", to: "") }]) != nil)
        var long = TarBytes()
        long.addPax([("linkpath", [UInt8](repeating: 97, count: 4096))])
        long.addLink("l", to: "x")
        #expect(message([long]) != nil)
        let device = layer {
            $0.add("d") {
                $0.type = UInt8(ascii: "3")
                $0.patch = { header in
                    for (index, byte) in "7777777".utf8.enumerated() { header[329 + index] = byte }
                }
            }
        }
        #expect(message([device])?.contains("impossible") == true)
    }

    @Test("the count of entries is bounded, folders that nobody named included")
    func bound() throws {
        let deep = layer { $0.add("a/b/c/d/e/f") }
        #expect(throws: FileTreeError.self) { try tree([deep], limits: TreeLimits(maximumEntries: 5)) }
        #expect(try tree([deep], limits: TreeLimits(maximumEntries: 6)).nodes.count == 7)
    }

    @Test("a deep tree is built, hidden and walked without running out of stack")
    func deep() throws {
        let path = String(repeating: "d/", count: 1000)
        let lower = layer {
            $0.addPax([("path", Array(path.utf8))]); $0.addFolder("x")
        }
        #expect(try tree([lower]).nodes.count == 1001)
        #expect(paths(try tree([lower, layer { $0.add(".wh.d") }])).isEmpty)
    }
}
