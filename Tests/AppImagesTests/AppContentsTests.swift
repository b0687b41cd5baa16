import Archives
import Foundation
import HostFiles
import ImageFixtures
import Testing

@testable import AppImages

/// Programs that the computer's compiler makes, in a folder of their own.
@Suite(.enabled(if: hasTool("gcc"), "no compiler is installed")) struct AppContentsTests {
    let scratch: ScratchFolder

    init() throws {
        scratch = try ScratchFolder()
        try scratch.write("deep.c", Array("int deep(void) { return 3; }".utf8))
        try scratch.write("one.c", Array("int deep(void); int one(void) { return deep(); }".utf8))
        try scratch.write("main.c", Array("int one(void); int main(void) { return one(); }".utf8))
        try shell(
            """
            mkdir -p bin lib
            gcc -shared -fPIC -o lib/libdeep.so deep.c
            gcc -shared -fPIC -o lib/libone.so one.c -Llib -ldeep
            """, in: scratch.path)
    }

    private func link(_ options: String) throws -> String {
        try shell("gcc -o bin/app main.c -Llib -lone -Wl,-rpath-link,lib \(options)", in: scratch.path)
        return scratch.appending("bin/app")
    }

    private func places(_ contents: AppContents) -> [String] { contents.files.map(\.place) }

    private func refusal(_ path: String, configuration: String = "/etc/ld.so.conf") -> AppError? {
        do { _ = try AppContents(of: path, configuration: configuration) } catch { return error as? AppError }
        return nil
    }

    @Test func `libraries beside the program go beside it in the image, those of libraries too`() throws {
        let contents = try AppContents(of: try link("-Wl,--disable-new-dtags,-rpath,'$ORIGIN/../lib'"))
        for place in ["/app/bin/app", "/app/lib/libone.so", "/app/lib/libdeep.so"] {
            #expect(places(contents).contains(place))
        }
        #expect(places(contents).contains { $0.hasSuffix("/libc.so.6") || $0.hasSuffix("/ld-musl-x86_64.so.1") })
    }

    @Test func `a run path is for an object's own libraries, and what it does not reach is missing`() throws {
        let error = try #require(refusal(try link("-Wl,--enable-new-dtags,-rpath,'$ORIGIN/../lib'")))
        #expect(error.code == .missingLibrary && error.message.contains("libdeep.so (needed by"))
        #expect(!error.message.contains("libone.so (needed"))
    }

    @Test func `what only this computer's configuration finds goes where the image's loader looks`() throws {
        try scratch.write("conf.d/local.conf", Array("# ours\n\(scratch.path)/lib\n".utf8))
        let file = try scratch.write("ld.so.conf", Array("include conf.d/*.conf\n/nosuchfolder\n".utf8))
        let contents = try AppContents(of: try link(""), configuration: file)
        #expect(places(contents).count { $0.hasSuffix("-linux-gnu/libone.so") && $0.hasPrefix("/lib/") } == 1)
        #expect(refusal(scratch.appending("bin/app"), configuration: "/nosuchfile")?.code == .missingLibrary)
    }

    @Test(arguments: ["/bin/ls", "/usr/bin/git", "/usr/bin/python3", "/usr/bin/curl"])
    func `the libraries are those that the loader itself names`(program: String) throws {
        guard FileManager.default.fileExists(atPath: program) else { return }
        let listed = try run("ldd", [program]).output.split(separator: "\n").compactMap { line -> String? in
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let first = words.first, !first.hasPrefix("linux-vdso") else { return nil }
            return first.split(separator: "/").last.map(String.init)
        }
        let found = try AppContents(of: program).files.filter { file in
            file.mode == 0o755 && !file.place.hasPrefix("/app/bin/")
        }
        #expect(found.map { AppPath.name(of: $0.place) }.sorted() == listed.sorted())
    }

    @Test func `names, services and locales are there for who asks for them, and no others`() throws {
        try scratch.write(
            "asks.c",
            Array(
                "#include <netdb.h>\n#include <locale.h>\n#include <dlfcn.h>\nint main(void) { setlocale(LC_ALL, \"\"); dlopen(\"x\", 1); getservbyname(\"x\", 0); return 0; }"
                    .utf8))
        try shell("gcc -o asks asks.c", in: scratch.path)
        let asking = try AppContents(of: scratch.appending("asks"))
        #expect(places(asking).contains("/etc/nsswitch.conf") && asking.notes.contains { $0.contains("dlopen") })
        #expect(asking.environment == ["LANG=C.UTF-8"] || !HostPath("/usr/lib/locale/C.utf8").exists)
        try scratch.write("quiet.c", Array("int main(void) { return 0; }".utf8))
        try shell("gcc -o quiet quiet.c", in: scratch.path)
        let quiet = try AppContents(of: scratch.appending("quiet"))
        #expect(quiet.files.count == 5 && quiet.notes.isEmpty && quiet.environment.isEmpty)
    }

    @Test func `what is no program is refused with the reason`() throws {
        try shell(
            "gcc -c -o main.o main.c; echo 'int main(void) { return 0; }' > static.c; gcc -static -o static static.c",
            in: scratch.path)
        try scratch.write("script", Array("#!/usr/bin/env python3\nprint()".utf8))
        try scratch.write("text", Array("hello".utf8))
        for (file, word) in [
            ("lib/libone.so", "library"), ("main.o", "object"), ("script", "script for /usr/bin/env python3"),
            ("text", "no ELF file"), ("lib", "no file"),
        ] {
            let error = try #require(refusal(scratch.appending(file)), "\(file)")
            #expect(error.code == .notAProgram && error.message.contains(word), "\(error)")
        }
        #expect(refusal(scratch.appending("none"))?.code == .unusableFile)
        #expect(
            places(try AppContents(of: scratch.appending("static"))) == [
                "/app/bin/static", "/etc/group", "/etc/passwd",
            ])
        var other = try readFile(scratch.appending("static"))
        other[18] = 8
        try scratch.write("mips", other)
        #expect(refusal(scratch.appending("mips"))?.message.contains("another processor") == true)
    }

    @Test func `the archive is what tar reads, the same each time`() throws {
        try scratch.write("data/\(String(repeating: "long/", count: 30))file", Array("x".utf8))
        let contents = try AppContents(of: "/bin/ls", adding: [(scratch.appending("data"), "/srv")])
        for name in ["a.tar", "b.tar"] {
            try contents.write(to: try HostFile(HostPath(scratch.appending(name)), [.writeOnly, .create]))
        }
        #expect(try readFile(scratch.appending("a.tar")) == readFile(scratch.appending("b.tar")))
        let list = try shell("tar tvf a.tar", in: scratch.path)
        #expect(list.contains("drwxrwxrwt 0/0") && list.contains("-rwxr-xr-x 0/0") && list.contains(" app/bin/ls\n"))
        #expect(list.contains("srv/" + String(repeating: "long/", count: 30) + "file\n"))
        #expect(throws: AppError.self) { try AppContents(of: "/bin/ls", adding: [("/etc/passwd", "/")]) }
    }
}

@Suite struct ElfProgramTests {
    private func read(_ bytes: [UInt8]) throws -> ElfProgram {
        try ElfProgram { (offset, count) throws(ElfError) in
            Array(bytes.dropFirst(Int(clamping: offset)).prefix(count))
        }
    }

    private func corpus(_ name: String) throws -> [UInt8] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try readFile(root.appending(path: "Fuzz/Corpus/program/\(name)").path)
    }

    @Test func `what a program says is read`() throws {
        let program = try read(try corpus("dynamic"))
        #expect(program.machine == 62 && program.isExecutable && program.name == "me.so")
        #expect(program.interpreter == "/lib64/ld-linux-x86-64.so.2" && program.needed == ["libone.so"])
        #expect(program.runPath == ["$ORIGIN/../lib", "/opt/lib"] && program.inheritedPath.isEmpty)
        #expect(program.mentions("dlopen") && !program.mentions("open") && !program.mentions("dlope"))
    }

    @Test func `every cut of a program is an error or a program, and no trap`() throws {
        let whole = try corpus("dynamic")
        for count in whole.indices { #expect(throws: (any Error).self) { try read(Array(whole.prefix(count))) } }
        #expect(throws: (any Error).self) { try read(try corpus("wrapping")) }
    }

    @Test func `paths become plain`() {
        #expect(AppPath.normal("/a/./b//../c/") == "/a/c" && AppPath.normal("/../..") == "/")
    }
}
