import Foundation
import SharedFolders
import Testing
import VirtioTestSupport

@Suite struct FolderServerTests {
    let scratch: ScratchFolder
    let client: FolderClient

    init() throws {
        scratch = try ScratchFolder()
        client = try FolderClient(scratch.path)
    }

    @Test func `a file is found, opened and read`() throws {
        try scratch.make("a/b")
        try scratch.write("a/b/file", "hello")
        let file = client.node(client.node(client.node(1, "a"), "b"), "file")
        let opened = client.open(file, 0)
        #expect(opened.error == 0)
        let handle: UInt64 = opened.integer(at: 0)
        #expect(client.read(file, handle, 0, 100).body == Array("hello".utf8))
        #expect(client.read(file, handle, 2, 2).body == Array("ll".utf8))
        #expect(client.read(file, handle, 5, 10).body == [])
        #expect(client.read(file, handle, .max, 10).error == 22)
        #expect(client.release(file, handle).error == 0 && client.service.openFiles == 0)
        #expect(client.read(file, handle, 0, 1).error == 9)
    }

    @Test(arguments: [3, 7, 16, 41, 4096]) func `requests and answers may lie in pieces of any length`(
        pieceBytes: Int
    ) throws {
        client.pieceBytes = pieceBytes
        let created = client.create(1, "pieces")
        let file: UInt64 = created.integer(at: 0)
        let handle: UInt64 = created.integer(at: 128)
        let text = Array("some bytes that are longer than a piece".utf8)
        #expect(client.write(file, handle, 3, text).integer(UInt32.self, at: 0) == UInt32(text.count))
        #expect(client.read(file, handle, 0, 100).body == [0, 0, 0] + text)
    }

    @Test func `a file that gives less than asked is asked again until it ends`() throws {
        // The kernel makes this file's content a few pages at a time, whatever room there is.
        let client = try FolderClient("/proc/self", FolderSettings(isReadOnly: true, nodeLimit: 16))
        let file = client.node(1, "smaps")
        let opened = client.open(file, 0)
        #expect(opened.error == 0)
        let content = client.read(file, opened.integer(at: 0), 0, 100_000).body
        #expect(content.count > 30_000)
    }

    @Test func `what is not there is said to be not there, and may be believed`() {
        let answer = client.lookUp(1, "missing")
        #expect(
            answer.error == 0 && answer.integer(UInt64.self, at: 0) == 0 && answer.integer(UInt64.self, at: 16) == 1)
    }

    @Test(arguments: ["", ".", "..", "a/b", "/etc", "../x"]) func `a name is one component`(name: String) {
        #expect(client.lookUp(1, name).error != 0)
        #expect(client.create(1, name).error != 0)
        #expect(client.call(10, 1, FolderClient.text(name)).error != 0)
    }

    @Test func `a name without its zero, or too long, is refused`() {
        #expect(client.call(1, 1, Array("name".utf8)).error == 22)
        #expect(client.call(1, 1, []).error == 22)
        #expect(client.lookUp(1, String(repeating: "n", count: 256)).error == 36)
        #expect(client.lookUp(1, String(repeating: "n", count: 255)).error == 0)
    }

    @Test func `links are shown and never followed`() throws {
        try scratch.link("out", to: "/etc")
        try scratch.link("passwd", to: "/etc/passwd")
        let out = client.node(1, "out")
        let answer = client.call(5, out, [])
        #expect(String(decoding: answer.body, as: UTF8.self) == "/etc")
        #expect(client.lookUp(out, "passwd").error != 0)
        #expect(client.open(client.node(1, "passwd"), 0).error != 0)
        #expect(client.create(1, "passwd", 1).error != 0)
        // Its mode and size would be those of what it points to.
        var change = FolderClient.Change(1)
        change.mode = 0o777
        #expect(client.change(client.node(1, "passwd"), change).error != 0)
        change = FolderClient.Change(8)
        #expect(client.change(client.node(1, "passwd"), change).error != 0)
    }

    @Test func `a link's own times can be set, and only those`() throws {
        try scratch.write("target", "x")
        try scratch.link("link", to: "target")
        var change = FolderClient.Change(16 | 32)
        change.modified = 1_000_000_000
        let answer = client.change(client.node(1, "link"), change)
        #expect(answer.error == 0 && answer.integer(UInt64.self, at: 16 + 32) == 1_000_000_000)
        #expect(client.attributes(client.node(1, "target")).integer(UInt64.self, at: 16 + 32) > 1_000_000_000)
    }

    @Test func `a file deep below is found when no folder on the way is known any more`() throws {
        try scratch.make("a/b/c/d")
        try scratch.write("a/b/c/d/file", "deep")
        var node: UInt64 = 1
        for name in ["a", "b", "c", "d", "file"] { node = client.node(node, name) }
        client.now += 2_000_000_000
        #expect(client.open(node, 0).error == 0)
        client.now += 2_000_000_000
        #expect(client.attributes(node).error == 0)
    }

    @Test func `a folder that was replaced by a link on the host leads nowhere`() throws {
        try scratch.make("folder")
        try scratch.write("folder/passwd", "ours")
        let folder = client.node(1, "folder")
        let file = client.node(folder, "passwd")
        try FileManager.default.moveItem(atPath: scratch.path + "/folder", toPath: scratch.path + "/moved")
        try scratch.link("folder", to: "/etc")
        client.now += 2_000_000_000
        #expect(client.lookUp(folder, "passwd").error != 0)
        #expect(client.open(file, 0).error != 0)
        #expect(client.create(folder, "new").error != 0)
    }

    @Test func `pipes and devices are not opened`() throws {
        #expect(client.call(8, 1, FolderClient.bytes(UInt32(0o010644), 0, 0, 0) + FolderClient.text("pipe")).error == 0)
        #expect(client.open(client.node(1, "pipe"), 0).error == 1)
        #expect(client.create(1, "pipe", 1).error == 1)
        // A device of the kernel's log, a disk, and the whiteout of an overlay.
        for (mode, device) in [(0o020644, 1 << 8 | 11), (0o060644, 8 << 8), (0o020644, 0)] as [(UInt32, UInt32)] {
            #expect(client.call(8, 1, FolderClient.bytes(mode, device, 0, 0) + FolderClient.text("device")).error == 1)
        }
    }

    @Test func `a file is made, written, changed, cut and removed`() throws {
        let created = client.create(1, "new", mode: 0o640)
        #expect(created.error == 0)
        let file: UInt64 = created.integer(at: 0)
        let handle: UInt64 = created.integer(at: 128)
        #expect(client.write(file, handle, 0, Array("0123456789".utf8)).error == 0)
        #expect(try scratch.mode("new") == 0o640)
        var change = FolderClient.Change(8)
        change.size = 4
        #expect(client.change(file, change).error == 0)
        #expect(scratch.text("new") == "0123")
        change = FolderClient.Change(1)
        change.mode = 0o600
        #expect(client.change(file, change).integer(UInt32.self, at: 16 + 60) == 0o100600)
        #expect(client.call(20, file, FolderClient.bytes(handle, 0)).error == 0)
        #expect(client.call(25, file, FolderClient.bytes(handle, 0, 0)).error == 0)
        #expect(client.call(10, 1, FolderClient.text("new")).error == 0)
        #expect(scratch.text("new") == nil)
        // It has lost its name, but is still open.
        #expect(client.read(file, handle, 0, 10).body == Array("0123".utf8))
        #expect(client.attributes(file).integer(UInt64.self, at: 16 + 8) == 4)
        change = FolderClient.Change(8)
        change.size = 2
        #expect(client.change(file, change).error == 0)
        #expect(client.open(file, 0).error == 0)
        #expect(client.release(file, handle).error == 0)
        #expect(client.write(file, handle, 0, [1]).error == 9)
    }

    @Test func `creating what is there opens it, unless it must be new`() throws {
        try scratch.write("old", "old")
        #expect(client.create(1, "old", 2 | 0o200).error == 17)
        let opened = client.create(1, "old", 2)
        #expect(opened.error == 0)
        #expect(client.read(opened.integer(at: 0), opened.integer(at: 128), 0, 9).body == Array("old".utf8))
        #expect(client.create(1, "old", 2 | 0o1000).error == 0)
        #expect(scratch.text("old") == "")
    }

    @Test func `names are moved, exchanged and linked`() throws {
        try scratch.write("a", "a")
        try scratch.write("b", "b")
        try scratch.make("sub/folder")
        try scratch.write("sub/folder/inner", "inner")
        let (a, b, sub) = (client.node(1, "a"), client.node(1, "b"), client.node(1, "sub"))
        let inner = client.node(client.node(sub, "folder"), "inner")
        let rename = { (from: UInt64, to: UInt64, flags: UInt32, one: String, other: String) in
            self.client.call(
                45, from,
                FolderClient.bytes(to) + FolderClient.bytes(flags, 0) + FolderClient.text(one)
                    + FolderClient.text(other)
            ).error
        }
        #expect(rename(1, sub, 0, "a", "moved") == 0)
        #expect(client.attributes(a).error == 0)
        #expect(rename(1, sub, 1, "b", "moved") == 17)
        #expect(rename(1, sub, 2, "b", "moved") == 0)
        #expect(scratch.text("b") == "a" && scratch.text("sub/moved") == "b")
        #expect(client.attributes(a).error == 0 && client.attributes(b).error == 0)
        #expect(rename(1, sub, 4, "b", "moved") == 22)
        // What lies in a folder is found where the folder has gone.
        #expect(rename(sub, 1, 0, "folder", "up") == 0)
        #expect(client.open(inner, 0).error == 0)
        #expect(
            client.call(12, 1, FolderClient.bytes(sub) + FolderClient.text("b") + FolderClient.text("moved")).error == 0
        )
        #expect(client.attributes(b).error == 116)
        let linked = client.call(13, 1, FolderClient.bytes(a) + FolderClient.text("second"))
        #expect(linked.error == 0 && linked.integer(UInt64.self, at: 0) == a)
        #expect(linked.integer(UInt32.self, at: 40 + 64) == 2)
        // The name it was last seen under goes; under the other it is found again, as the same file.
        #expect(client.call(10, 1, FolderClient.text("second")).error == 0)
        #expect(client.attributes(a).error == 116)
        #expect(client.node(sub, "moved") == a && client.attributes(a).error == 0)
    }

    @Test func `folders and links are made and removed`() throws {
        let made = client.call(9, 1, FolderClient.bytes(UInt32(0o755), 0) + FolderClient.text("folder"))
        #expect(made.error == 0 && made.integer(UInt32.self, at: 40 + 60) == 0o040755)
        let folder: UInt64 = made.integer(at: 0)
        #expect(client.call(6, folder, FolderClient.text("link") + FolderClient.text("../target")).error == 0)
        #expect(client.call(6, folder, FolderClient.text("link")).error == 22)
        #expect(client.call(11, 1, FolderClient.text("folder")).error == 39)
        #expect(client.call(10, folder, FolderClient.text("link")).error == 0)
        #expect(client.call(10, 1, FolderClient.text("folder")).error == 21)
        #expect(client.call(11, 1, FolderClient.text("folder")).error == 0)
        #expect(client.create(folder, "orphan").error != 0)
    }

    @Test func `appending goes to the end, whoever made the file longer`() throws {
        try scratch.write("log", "one")
        let file = client.node(1, "log")
        let handle: UInt64 = client.open(file, 1 | 0o2000).integer(at: 0)
        try scratch.write("log", "one, two")
        #expect(client.write(file, handle, 3, Array("!".utf8), fileFlags: 0o2001).error == 0)
        #expect(
            scratch.text("log") != "one!"
                && client.write(file, handle, 0, [0x4f], fileFlags: 0o2001, writeFlags: 1).error == 0)
    }

    @Test(arguments: [false, true]) func `folders are listed in answers of any size`(isPlus: Bool) throws {
        var names: Set<String> = [".", ".."]
        for number in 0..<300 {
            let name = "file-\(number)" + String(repeating: "x", count: number % 40)
            names.insert(name)
            try scratch.write(name, "")
        }
        for room in [512, 4096, 1 << 20] {
            let listed = try #require(client.names(1, isPlus: isPlus, room: room))
            #expect(Set(listed) == names && listed.count == names.count, "\(room)")
        }
        #expect(client.service.rememberedFiles == (isPlus ? 301 : 1))
        #expect(client.names(client.node(1, "file-0")) == nil)
    }

    @Test func `two listings of a folder do not disturb each other`() throws {
        for number in 0..<100 { try scratch.write("f\(number)", "") }
        let handles = (0..<2).map { _ in
            client.call(27, 1, FolderClient.bytes(UInt32(0), 0)).integer(UInt64.self, at: 0)
        }
        var offsets: [UInt64] = [0, 0]
        var counts = [0, 0]
        for turn in 0..<400 {
            let which = turn % 2
            let answer = client.call(
                28, 1,
                FolderClient.bytes(handles[which], offsets[which]) + FolderClient.bytes(UInt32(80), 0, 0, 0, 0, 0))
            var place = 0
            while place < answer.body.count {
                counts[which] += 1
                offsets[which] = answer.integer(at: place + 8)
                place += 24 + (Int(answer.integer(UInt32.self, at: place + 16)) + 7) / 8 * 8
            }
        }
        #expect(counts == [102, 102])
    }

    @Test func `what the guest forgets costs nothing, and what it remembers no descriptor`() throws {
        try scratch.make("a/b/c")
        var chain: [UInt64] = [1]
        for name in ["a", "b", "c"] { chain.append(client.node(chain[chain.count - 1], name)) }
        #expect(client.service.rememberedFiles == 4)
        for index in 0..<1000 { _ = client.create(chain[3], "f\(index)", 0).error }
        #expect(client.service.openFiles == 1000)
        client.service.reset()
        #expect(client.service.openFiles == 0 && client.service.rememberedFiles == 1)
        _ = client.initialize()
        #expect(client.names(client.node(client.node(client.node(1, "a"), "b"), "c"), isPlus: true)?.count == 1002)
        #expect(client.service.rememberedFiles == 1004)
        #expect(client.service.descriptors <= 17)
        // Whoever forgets the folder first still has what is in it.
        let a = client.node(1, "a")
        client.forget(a, 2)
        #expect(client.service.rememberedFiles == 1004)
    }

    @Test func `a guest may remember no more files than it was granted`() throws {
        for number in 0..<30 { try scratch.write("f\(number)", "") }
        let small = try FolderClient(scratch.path, FolderSettings(nodeLimit: 16))
        let errors = (0..<30).map { small.lookUp(1, "f\($0)").error }
        #expect(errors.prefix(14).allSatisfy { $0 == 0 } && errors[29] == 23)
        small.forget(2)
        #expect(small.lookUp(1, "f29").error == 0)
        #expect(small.names(1, isPlus: true)?.count == 32)
    }

    @Test func `a folder that is read-only is not changed by anything`() throws {
        try scratch.write("file", "kept")
        let reader = try FolderClient(scratch.path, FolderSettings(isReadOnly: true, nodeLimit: 64))
        let file = reader.node(1, "file")
        #expect(
            reader.open(file, 1).error == 30 && reader.open(file, 2).error == 30
                && reader.open(file, 0o1000).error == 30)
        let handle: UInt64 = reader.open(file, 0).integer(at: 0)
        #expect(reader.write(file, handle, 0, [1]).error == 30)
        for operation in [4, 6, 8, 9, 10, 11, 12, 13, 21, 24, 35, 43, 45, 47] as [UInt32] {
            #expect(reader.call(operation, 1, [UInt8](repeating: 0, count: 200)).error == 30, "\(operation)")
        }
        #expect(scratch.text("file") == "kept")
    }

    @Test func `reading leaves the times of access alone where nothing is to be written`() throws {
        try scratch.make("folder")
        try scratch.write("folder/file", "hello")
        // Older than the last change, so that a file system that notes few accesses notes this one.
        let paths = ["/folder/file", "/folder"].map { scratch.path + $0 }
        let long = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 2000, tv_usec: 0)]
        // SAFETY: both outlive the call.
        for path in paths { #expect(unsafe utimes(path, long) == 0) }
        let reader = try FolderClient(scratch.path, FolderSettings(isReadOnly: true, nodeLimit: 64))
        let folder = reader.node(1, "folder")
        #expect(reader.names(folder, isPlus: true)?.contains("file") == true)
        let file = reader.node(folder, "file")
        #expect(reader.read(file, reader.open(file, 0).integer(at: 0), 0, 100).body == Array("hello".utf8))
        var facts = stat()
        for path in paths {
            // SAFETY: both outlive the call.
            #expect(unsafe stat(path, &facts) == 0)
            #expect(facts.st_atim.tv_sec == 1000)
        }
    }

    @Test func `programs with their owner's rights are neither made nor left to a writer`() throws {
        let made = client.create(1, "program", mode: 0o4755)
        #expect(try made.error == 0 && scratch.mode("program") == 0o755)
        var change = FolderClient.Change(1)
        change.mode = 0o4755
        let file: UInt64 = made.integer(at: 0)
        #expect(client.change(file, change).error == 1)
        try FileManager.default.setAttributes([.posixPermissions: 0o4755], ofItemAtPath: scratch.path + "/program")
        #expect(try client.open(file, 0).error == 0 && scratch.mode("program") == 0o4755)
        #expect(try client.open(file, 1).error == 0 && scratch.mode("program") == 0o755)
        #expect(
            client.call(21, file, FolderClient.bytes(UInt32(1), 0) + FolderClient.text("security.capability") + [1])
                .error == 95)
    }

    @Test func `a program with its owner's rights loses them to a change of what it is`() throws {
        let path = scratch.path + "/program"
        for valid in [1, 1 | 8, 1 | 1 << 11, 1 | 2 | 4] as [UInt32] {
            try scratch.write("program", "text")
            try FileManager.default.setAttributes([.posixPermissions: 0o4755], ofItemAtPath: path)
            var change = FolderClient.Change(valid)
            change.mode = 0o4755
            change.user = UInt32(getuid())
            change.group = UInt32(getgid())
            #expect(try client.change(client.node(1, "program"), change).error == 0 && scratch.mode("program") == 0o755)
        }
    }

    @Test(
        arguments: [
            (1024, 1, 512), (1024, 8, 64), (1 << 20, 8, 4096), (0, 8, 16), (.max, 1, 4096), (4096, 0, 2048),
        ] as [(UInt64, Int, Int)]) func `open files leave the process half of what it may have`(
            limit: UInt64, folders: Int, files: Int
        )
    {
        #expect(FolderSettings.openFiles(of: limit, folders: folders) == files)
    }

    @Test func `the owner on the host is root in the guest`() throws {
        try scratch.write("file", "")
        let mine = getuid()
        let mapped = try FolderClient(
            scratch.path, FolderSettings(owner: .init(user: mine, group: getgid()), nodeLimit: 64))
        let file = mapped.node(1, "file")
        #expect(mapped.attributes(file).integer(UInt32.self, at: 16 + 68) == 0)
        var change = FolderClient.Change(2 | 4)
        #expect(mapped.change(file, change).error == 0)
        change.user = 1234
        #expect(mapped.change(file, change).error == 1)
        let others = try FolderClient(
            scratch.path, FolderSettings(owner: .init(user: mine + 1, group: getgid() + 1), nodeLimit: 64))
        #expect(others.attributes(1).integer(UInt32.self, at: 16 + 68) == 65_534)
        // Made for whom the guest's process is; here that is nobody else, for it takes root to give files away.
        client.user = mine
        client.group = getgid()
        #expect(client.create(1, "own").error == 0)
    }

    @Test func `attributes of users are kept, and only those`() throws {
        let file: UInt64 = client.create(1, "file").integer(at: 0)
        let set = { (name: String, value: [UInt8]) in
            self.client.call(21, file, FolderClient.bytes(UInt32(value.count), 0) + FolderClient.text(name) + value)
                .error
        }
        let get = { (name: String, size: UInt32) in
            self.client.call(22, file, FolderClient.bytes(size, 0) + FolderClient.text(name))
        }
        #expect(set("user.note", [1, 2, 3]) == 0 && set("user.more", []) == 0)
        #expect(get("user.note", 100).body == [1, 2, 3])
        #expect(get("user.note", 0).integer(UInt32.self, at: 0) == 3 && get("user.note", 2).error == 34)
        #expect(get("user.none", 10).error == 61 && get("security.capability", 10).error == 61)
        #expect(set("trusted.note", [1]) == 95 && set("user.", [1]) == 95)
        let list = client.call(23, file, FolderClient.bytes(UInt32(1000), 0)).body.split(separator: 0)
        #expect(Set(list.map { String(decoding: $0, as: UTF8.self) }) == ["user.note", "user.more"])
        #expect(client.call(23, file, FolderClient.bytes(UInt32(0), 0)).integer(UInt32.self, at: 0) == 20)
        #expect(client.call(24, file, FolderClient.text("user.note")).error == 0 && get("user.note", 9).error == 61)
        // A size that lies about what follows.
        #expect(
            client.call(21, file, FolderClient.bytes(UInt32(100), 0) + FolderClient.text("user.x") + [1]).error == 22)
    }

    @Test func `content that nobody changed since it was last opened stays good`() throws {
        try scratch.write("file", "one")
        let file = client.node(1, "file")
        #expect(client.open(file, 0).integer(UInt32.self, at: 8) == 0)
        #expect(client.open(file, 0).integer(UInt32.self, at: 8) == 2)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 1000)], ofItemAtPath: scratch.path + "/file")
        #expect(client.open(file, 0).integer(UInt32.self, at: 8) == 0)
    }

    @Test func `content that was changed is asked for anew though its time was set back`() throws {
        try scratch.write("file", "one")
        let file = client.node(1, "file")
        _ = client.open(file, 0)
        let path = scratch.path + "/file"
        let date = try #require(
            FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date)
        try scratch.write("file", "two")
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        // Foundation may have put a new file into its place.
        #expect(client.open(client.node(1, "file"), 0).integer(UInt32.self, at: 8) == 0)
        _ = client.open(client.node(1, "file"), 0)
        let handle = try FileHandle(forWritingTo: URL(filePath: path))
        try handle.write(contentsOf: Data("six".utf8))
        try handle.close()
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        #expect(client.open(client.node(1, "file"), 0).integer(UInt32.self, at: 8) == 0)
    }

    @Test func `holes, room and copies are the host's`() throws {
        let made = client.create(1, "sparse")
        let (file, handle): (UInt64, UInt64) = (made.integer(at: 0), made.integer(at: 128))
        #expect(
            client.call(43, file, FolderClient.bytes(handle, 0, 100_000) + FolderClient.bytes(UInt32(0), 0)).error == 0)
        #expect(client.attributes(file, handle: handle).integer(UInt64.self, at: 16 + 8) == 100_000)
        #expect(client.call(46, file, FolderClient.bytes(handle, 0) + FolderClient.bytes(UInt32(4), 0)).error == 0)
        #expect(client.call(46, file, FolderClient.bytes(handle, 0) + FolderClient.bytes(UInt32(2), 0)).error == 22)
        _ = client.write(file, handle, 0, Array("copied".utf8))
        let other = client.create(1, "copy")
        let copied = client.call(
            47, file,
            FolderClient.bytes(handle, 0, other.integer(at: 0), other.integer(at: 128), 0, 6, 0))
        #expect(copied.error == 0 && copied.integer(UInt32.self, at: 0) == 6 && scratch.text("copy") == "copied")
        #expect(client.call(17, 1, [], room: 200).integer(UInt32.self, at: 40) > 0)
    }

    @Test func `a host that moves folders into each other leaves no circle`() throws {
        try scratch.make("a/b")
        let a = client.node(1, "a")
        let b = client.node(a, "b")
        try FileManager.default.moveItem(atPath: scratch.path + "/a/b", toPath: scratch.path + "/b")
        try FileManager.default.moveItem(atPath: scratch.path + "/a", toPath: scratch.path + "/b/a")
        #expect(client.node(b, "a") == 0 || client.lookUp(b, "a").error != 0)
        client.now += 2_000_000_000
        #expect(client.node(1, "b") == b && client.node(b, "a") == a)
        #expect(client.attributes(a).error == 0 && client.attributes(b).error == 0)
        try FileManager.default.moveItem(atPath: scratch.path + "/b/a", toPath: scratch.path + "/a")
        try FileManager.default.moveItem(atPath: scratch.path + "/b", toPath: scratch.path + "/a/b")
        client.now += 2_000_000_000
        _ = client.lookUp(a, "b")
        #expect(client.node(1, "a") == a && client.node(a, "b") == b)
        for (node, count) in [(a, 10), (b, 10)] { client.forget(node, UInt64(count)) }
        #expect(client.service.rememberedFiles == 1)
    }

    @Test func `a folder that moved below its own child, which alone kept it known, is known again`() throws {
        try scratch.make("a/b")
        let a = client.node(1, "a")
        let b = client.node(a, "b")
        _ = client.lookUp(b, "nothing")
        client.forget(a)
        try FileManager.default.moveItem(atPath: scratch.path + "/a/b", toPath: scratch.path + "/b")
        try FileManager.default.moveItem(atPath: scratch.path + "/a", toPath: scratch.path + "/b/a")
        let again = client.node(b, "a")
        #expect(again != 0 && client.attributes(again).error == 0 && client.service.rememberedFiles == 3)
        client.forget(again)
        client.forget(b)
        #expect(client.service.rememberedFiles == 1)
    }

    @Test func `nothing works before the beginning, and an older protocol is refused`() throws {
        let early = try FolderClient(scratch.path, isInitialized: false)
        #expect(early.lookUp(1, "x").error == 5)
        #expect(early.initialize(minor: 30).error == 71)
        #expect(early.call(26, 0, []).error == 22)
        let answer = early.initialize()
        #expect(
            answer.error == 0 && answer.integer(UInt32.self, at: 0) == 7 && answer.integer(UInt32.self, at: 4) == 33)
        #expect(early.call(38, 0, []).error == 0 && early.lookUp(1, "x").error == 5)
    }

    @Test func `requests that are cut, unknown, or have no room for an answer are answered as far as can be`() {
        for operation in 0...60 as ClosedRange<UInt32> where ![26, 38].contains(operation) {
            for count in [0, 1, 7, 8, 15, 20, 39, 60, 100, 300] {
                for node in [0, 1, 2, .max] as [UInt64] {
                    for fill in [0, 0x61, 0xff] as [UInt8] {
                        _ = client.call(operation, node, [UInt8](repeating: fill, count: count), room: 64)
                    }
                }
            }
        }
        #expect(client.send([1, 2, 3], room: 100).writtenBytes == 0)
        #expect(client.call(1, 1, FolderClient.text("x"), room: 15).writtenBytes <= 15)
        #expect(client.call(99, 1, []).error == 38)
        #expect(client.lookUp(7777, "x").error == 116)
        #expect(client.attributes(1).error == 0)
    }
}
