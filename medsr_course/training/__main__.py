from medsr_course.training.weights import main

main()
