import HostFiles

/// The files of an image that has one program and nothing that it does not need.
public struct AppContents: Sendable {
    public struct File: Equatable, Sendable {
        public enum Content: Equatable, Sendable {
            case file(path: String)
            case bytes([UInt8])
        }
        /// In the image.
        public let place: String
        public let content: Content
        public let mode: UInt16
        /// For people.
        public let reason: String
    }

    /// Where the program is in the image.
    public let program: String
    /// Sorted by their places.
    public private(set) var files: [File] = []
    /// What the program may want and cannot be known, for people.
    public private(set) var notes: [String] = []
    /// Variables that it is to have unless it is given others.
    public private(set) var environment: [String] = []

    static let programFolder = "/app/bin"
    private static let mostObjects = 2000
    /// Files that are added to what is found, as `PATH` or `PATH:PLACE`.
    public typealias Addition = (path: String, place: String)

    /// Finds everything that a program needs, without running any of it.
    /// - Parameter configuration: the dynamic loader's, `/etc/ld.so.conf`.
    public init(
        of path: String, adding additions: [Addition] = [], configuration: String = "/etc/ld.so.conf"
    ) throws {
        let name = AppPath.name(of: path)
        program = "\(Self.programFolder)/\(name)"
        var objects = [try Self.program(path, at: program)]
        var search: LibrarySearch?
        if let interpreter = objects[0].elf.interpreter {
            do { objects.append(try AppObject(interpreter, at: interpreter)) } catch {
                throw AppError(
                    .missingLibrary,
                    "the loader of \(path), \(interpreter), cannot be used (\(error)); install the C library that the program was built for"
                )
            }
            let found = LibrarySearch(
                interpreter: interpreter, machine: objects[0].elf.machine, configuration: configuration)
            search = found
            try Self.addLibraries(to: &objects, found)
        } else if !objects[0].elf.needed.isEmpty {
            throw AppError(.notAProgram, "\(path) needs libraries and names nobody who loads them (no PT_INTERP)")
        }
        var files: [String: File] = [:]
        for object in objects {
            let reason = object.loader.map { "needed by \(objects[$0].place)" }
            files[object.place] = File(
                place: object.place, content: .file(path: object.path), mode: 0o755,
                reason: reason ?? (object.place == program ? "the program" : "loads the libraries"))
        }
        addData(for: objects, search, to: &files)
        for (path, place) in additions { try Self.add(path, at: place, to: &files) }
        self.files = files.values.sorted { $0.place < $1.place }
    }

    private static func program(_ path: String, at place: String) throws -> AppObject {
        let object: AppObject
        do { object = try AppObject(path, at: place) } catch ElfError.notElf {
            let start = (try? HostPath(path).readWhole(limit: 64 << 20))?.prefix(200) ?? []
            if start.starts(with: Array("#!".utf8)) {
                let line = String(decoding: start.dropFirst(2).prefix { $0 != 0x0a }, as: UTF8.self)
                throw AppError(
                    .notAProgram,
                    "\(path) is a script for\(line.hasPrefix(" ") ? "" : " ")\(line); make an image with that program and its files instead: swiftlet image import"
                )
            }
            throw AppError(.notAProgram, "\(path) is no program: \(ElfError.notElf)")
        } catch let error as ElfError {
            throw AppError(.notAProgram, "\(path) cannot be used: \(error)")
        }
        guard object.elf.machine == hostMachine else {
            throw AppError(
                .notAProgram,
                "\(path) is for another processor (ELF machine \(object.elf.machine), here \(hostMachine))")
        }
        guard object.elf.isExecutable else {
            throw AppError(.notAProgram, "\(path) is a library, and no program")
        }
        return object
    }

    private static var hostMachine: UInt16 {
        #if arch(arm64)
            183
        #else
            62
        #endif
    }

    /// Every library that an object names, and those that these name, breadth first, as loaders do. One that has been
    /// found under a name is not looked for again.
    private static func addLibraries(to objects: inout [AppObject], _ search: LibrarySearch) throws {
        var known = Set(objects.dropFirst().flatMap { [AppPath.name(of: $0.path), $0.elf.name].compactMap(\.self) })
        var missing: [String] = []
        var index = 0
        while index < objects.count {
            let object = objects[index]
            for name in object.elf.needed where !known.contains(name) {
                known.insert(name)
                // musl's loader is its C library.
                if search.loader == .musl, name.hasPrefix("libc.") { continue }
                guard objects.count < mostObjects else {
                    throw AppError(.notAProgram, "the program needs more than \(mostObjects) libraries")
                }
                var chain: [AppObject] = []
                var loader = object.loader
                while let number = loader {
                    chain.append(objects[number])
                    loader = objects[number].loader
                }
                guard let library = find(name, index, search.folders(for: object, loadedBy: chain), object) else {
                    missing.append("\(name) (needed by \(object.path))")
                    continue
                }
                if let other = library.elf.name { known.insert(other) }
                objects.append(library)
            }
            index += 1
        }
        guard missing.isEmpty else {
            throw AppError(
                .missingLibrary,
                "these libraries are in no folder that the loader looks in: \(missing.joined(separator: ", ")). Install them, or build the program with a RUNPATH to where they are"
            )
        }
    }

    /// The first that is there and is for the same processor.
    private static func find(
        _ name: String, _ loader: Int, _ folders: [LibrarySearch.Folder], _ object: AppObject
    ) -> AppObject? {
        if name.contains("/") {
            return name.hasPrefix("/") ? try? AppObject(name, at: AppPath.normal(name), loadedBy: loader) : nil
        }
        for folder in folders {
            if let found = try? AppObject("\(folder.here)/\(name)", at: "\(folder.inImage)/\(name)", loadedBy: loader),
                found.elf.machine == object.elf.machine
            {
                return found
            }
        }
        return nil
    }

    /// A file, or a folder with all that lies in it, where somebody wants it.
    private static func add(_ path: String, at place: String, to files: inout [String: File]) throws {
        guard place.hasPrefix("/"), AppPath.normal(place) != "/" else {
            throw AppError(.unusableFile, "\"\(place)\" is no place in an image; write PATH:/PLACE")
        }
        do throws(HostFileError) {
            try add(HostPath(path), at: AppPath.normal(place), for: "asked for", to: &files, depth: 0)
        } catch {
            throw AppError(.unusableFile, "\(error)")
        }
    }

    private static func add(
        _ path: HostPath, at place: String, for reason: String, to files: inout [String: File], depth: Int
    ) throws(HostFileError) {
        let status = try path.status()
        if status.isFolder, depth < 100 {
            for name in try path.folderNames() {
                try add(
                    path.appending(name), at: "\(place)/\(String(decoding: name, as: UTF8.self))", for: reason,
                    to: &files, depth: depth + 1)
            }
        } else if status.isRegularFile {
            files[place] = File(
                place: place, content: .file(path: path.description), mode: status.mode & 0o755, reason: reason)
        }
    }

    /// What the C library opens for calls that the program, or a library of it, may make.
    private mutating func addData(
        for objects: [AppObject], _ search: LibrarySearch?, to files: inout [String: File]
    ) {
        func text(_ place: String, _ content: String, _ reason: String) {
            files[place] = File(place: place, content: .bytes(Array(content.utf8)), mode: 0o644, reason: reason)
        }
        func copy(_ path: String, _ reason: String) -> Bool {
            guard (try? HostPath(path).status())?.isRegularFile == true else { return false }
            files[path] = File(place: path, content: .file(path: path), mode: 0o644, reason: reason)
            return true
        }
        text(
            "/etc/passwd", "root:x:0:0:root:/:/nonexistent\nnobody:x:65534:65534:nobody:/:/nonexistent\n",
            "users by name")
        text("/etc/group", "root:x:0:\nnogroup:x:65534:\n", "groups by name")
        // The C library's own calls say nothing about the program.
        let own = objects.filter { object in
            let name = object.elf.name ?? ""
            return !["libc.", "ld-", "libresolv.", "libnss_", "libpthread.", "libm.", "libdl.", "librt."].contains {
                name.hasPrefix($0)
            }
        }
        func callers(_ names: String...) -> [String] {
            own.filter { object in names.contains { object.elf.mentions($0) } }.map(\.place)
        }
        if search?.loader == .glibc {
            let names = callers(
                "getaddrinfo", "gethostbyname", "gethostbyname_r", "getnameinfo", "getpwnam", "getpwnam_r", "getpwuid",
                "getpwuid_r", "getgrnam", "getgrnam_r", "getgrgid", "getgrgid_r", "getservbyname", "getservbyname_r")
            if !names.isEmpty {
                text(
                    "/etc/nsswitch.conf",
                    "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
                    "how \(names[0]) looks names up")
                addNameServices(objects, to: &files)
            }
            let locales = callers("setlocale", "newlocale")
            let locale = "/usr/lib/locale/C.utf8"
            if !locales.isEmpty, HostPath(locale).exists {
                try? Self.add(
                    HostPath(locale), at: locale, for: "\(locales[0]) may ask for UTF-8", to: &files, depth: 0)
                environment.append("LANG=C.UTF-8")
            }
            let converters = callers("iconv_open")
            if !converters.isEmpty {
                notes.append(
                    "\(converters[0]) may convert texts (iconv_open): UTF-8, UTF-16 and ASCII are there; for others add this computer's gconv folder"
                )
            }
        }
        let services = callers("getservbyname", "getservbyname_r", "getprotobyname", "getprotobyname_r")
        if !services.isEmpty {
            for file in ["/etc/services", "/etc/protocols"] { _ = copy(file, "needed by \(services[0])") }
        }
        let encrypting = callers("SSL_CTX_new", "gnutls_init")
        if !encrypting.isEmpty, !copy("/etc/ssl/certs/ca-certificates.crt", "whom \(encrypting[0]) trusts") {
            notes.append("\(encrypting[0]) speaks TLS, and there are no certificates at /etc/ssl/certs here")
        }
        let loaders = callers("dlopen", "dlmopen")
        if !loaders.isEmpty {
            notes.append(
                "\(loaders.joined(separator: ", ")) may load further libraries when it runs (dlopen), which nothing names; add those that it needs"
            )
        }
    }

    /// Before glibc 2.34 the C library loads these when it is asked for a name; they need nothing that it has not.
    private func addNameServices(_ objects: [AppObject], to files: inout [String: File]) {
        guard let library = objects.first(where: { $0.elf.name == "libc.so.6" }), !library.elf.mentions("GLIBC_2.34")
        else { return }
        for name in ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"] {
            let (path, place) = (
                "\(AppPath.folder(of: library.path))/\(name)", "\(AppPath.folder(of: library.place))/\(name)"
            )
            guard HostPath(path).exists else { continue }
            files[place] = File(
                place: place, content: .file(path: path), mode: 0o755, reason: "names are looked up by it")
        }
    }
}
