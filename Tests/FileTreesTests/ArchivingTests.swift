import Archives
import FileTrees
import HostFiles
import ImageFixtures
import Testing

@Suite struct ArchivingTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    /// A tar of a tree, by this project.
    private func write(_ tree: FileTree, to name: String) throws {
        let sink = FileByteSink(try HostFile(HostPath(scratch.appending(name)), [.writeOnly, .create, .truncate]))
        var writer = TarWriter(sink)
        try tree.write(to: &writer)
        try writer.finish()
    }

    private func read(_ name: String) throws -> FileTree {
        let file = try HostFile(HostPath(scratch.appending(name)))
        let builder = TreeBuilder(limits: TreeLimits())
        let source = FileByteSource(try file.duplicate(), range: 0..<(try file.status().sizeBytes))
        try builder.add(ByteReader(source), content: .inPlace(ContentSource(file)), hasWhiteouts: true)
        return builder.tree
    }

    /// Everything that a tree says, one line for each name.
    private func description(_ tree: FileTree) throws -> [String] {
        var first: [FileTree.NodeID: String] = [:]
        func lines(_ node: FileTree.NodeID, _ path: String) throws -> [String] {
            let attributes = tree[node].attributes
            var line = "\(path) \(attributes)"
            if let known = first[node] { return ["\(path) is \(known)"] }
            first[node] = path
            switch tree[node].kind {
            case .file(let content):
                var hash = SHA256()
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                let source = FileContentSource(content)
                while true {
                    let count = try source.read(into: &buffer)
                    if count == 0 { break }
                    hash.update(buffer, first: count)
                }
                line += " \(content.sizeBytes) \(content.pieces.map { [$0.offset, $0.length] }) \(hash.finalize())"
            case .folder: break
            case let kind: line += " \(kind)"
            }
            return try [line]
                + tree.sortedEntries(node).flatMap {
                    try lines($0.node, path + "/" + $0.name.bytes.map { String($0, radix: 16) }.joined())
                }
        }
        return try lines(tree.root, "")
    }

    @Test("what a folder holds is the same after it was a tar, for us and for GNU tar")
    func foldersAgain() throws {
        try shell(
            #"""
            below=deep/$(printf 'd%.0s' $(seq 120))/below
            mkdir -p "root/$below" root/empty
            cd root
            echo one > "$below/file"
            ln "$below/file" hard
            ln -s "$(printf 't%.0s' $(seq 150))" long-link
            ln -s /etc/passwd link
            mkfifo pipe
            printf 'x' > "$(printf 'nat\351ive')"
            : > none
            chmod 4711 none
            head -c 300000 /dev/urandom > noise
            truncate -s 64M holes
            printf middle | dd of=holes bs=1M seek=40 conv=notrunc 2> /dev/null
            touch -d '1969-12-31 23:59:58.25 UTC' old
            touch -d '2038-01-20 00:00:00.123456789 UTC' new
            setfattr -n user.note -v "$(printf 'a\nb=c')" new 2> /dev/null || true
            """#, in: scratch.path)
        let tree = try FileTree(scanning: HostPath(scratch.appending("root")), limits: TreeLimits()) { _ in }
        try write(tree, to: "one.tar")
        let again = try read("one.tar")
        #expect(try description(again) == description(tree))
        #expect(try readFile(scratch.appending("one.tar")).count < 1 << 20, "holes are stored")
        try write(again, to: "two.tar")
        #expect(try shell("cmp one.tar two.tar", in: scratch.path) == "")
        // GNU tar gives every name back, with its kind and content.
        try shell("mkdir out; tar xf one.tar -C out --xattrs; rm out/pipe root/pipe", in: scratch.path)
        #expect(try shell("diff -r --no-dereference root out", in: scratch.path) == "")
        #expect(
            try shell("stat -c '%h %a %s %Y' out/hard out/none out/holes out/new", in: scratch.path)
                == shell("stat -c '%h %a %s %Y' root/hard root/none root/holes root/new", in: scratch.path))
    }

    @Test("owners and devices beyond what old headers hold come back")
    func largeNumbers() throws {
        var tar = TarBytes()
        tar.add("file", [1, 2, 3])
        tar.addPax([("uid", Array("4000000000".utf8)), ("gid", Array("2097152".utf8))])
        tar.add("large", [4])
        tar.add("device") { $0.type = UInt8(ascii: "3") }
        let builder = TreeBuilder(limits: TreeLimits())
        let spool = try ContentSpool(in: HostPath(scratch.path))
        try builder.add(
            ByteReader(MemoryByteSource(tar.finished())), content: .spool(spool), hasWhiteouts: false)
        try write(builder.tree, to: "large.tar")
        #expect(try description(read("large.tar")) == description(builder.tree))
        let large = try #require(builder.tree.lookup("/large"))
        #expect(builder.tree[large].attributes.userID == 4_000_000_000)
    }

    @Test("a name that is a whiteout in a layer is refused by what it is")
    func whiteouts() throws {
        try scratch.write("root/.wh.name", [])
        let tree = try FileTree(scanning: HostPath(scratch.appending("root")), limits: TreeLimits()) { _ in }
        let error = #expect(throws: FileTreeError.self) { try write(tree, to: "no.tar") }
        #expect(error?.description.contains(".wh.name") == true)
    }
}
